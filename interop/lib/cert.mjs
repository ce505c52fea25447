// A self-signed certificate for 127.0.0.1, made for one run and thrown away with its folder.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Makes `cert.pem` and `key.pem` in `folder` with the openssl program and returns both paths. */
export function makeCertificate(folder) {
  const cert = join(folder, "cert.pem");
  const key = join(folder, "key.pem");
  execFileSync(
    "openssl",
    [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
      ..."-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1,DNS:localhost".split(" "),
      // The server's own certificate, not that of an authority: rustls refuses to take the one for the other.
      ..."-addext basicConstraints=critical,CA:FALSE".split(" "),
      ...["-keyout", key, "-out", cert],
    ],
    { stdio: "pipe" },
  );
  return { cert, key };
}
