export class CookieJar {
    /** @param {Response} response */
    _keep(response: Response): void;
    /**
     * What to add to the headers of a request.
     * @returns {Record<string, string>}
     */
    _headers(): Record<string, string>;
    #private;
}
