export class CookieJar {
    /** @param {Response} response */
    keep(response: Response): void;
    /**
     * What to add to the headers of a request.
     * @returns {Record<string, string>}
     */
    headers(): Record<string, string>;
    #private;
}
