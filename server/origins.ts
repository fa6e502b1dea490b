/**
 * Which web pages may use this server (setting `allowedOrigins`). Browsers name a page's origin in `Origin`; other clients
 * send none and are not concerned. Pages of this server's own address always may; others may when they are listed, or when
 * `*` is. The gateway asks for upgrades, which a browser lets any page make; for HTTP the browser itself keeps pages from
 * answers that do not name their origin (Fetch standard, "CORS protocol"), and from sending a key at all.
 */
import { WeirError } from "../protocol/error-codes.ts";

type Headers = Readonly<Record<string, string>>;

/** So long a browser may remember what a preflight said. */
const PREFLIGHT_SECONDS = 600;
const REQUEST_HEADERS = "Authorization, Content-Type, Content-Encoding";
const ANSWER_HEADERS = "Location, Retry-After, X-Request-Id";

export class Origins {
  readonly #listed: ReadonlySet<string>;

  /** Origins as browsers write them: `https://app.example`, lower case, without a path. */
  constructor(allowed: readonly string[]) {
    this.#listed = new Set(allowed);
  }

  /** `origin` and `host` are the headers; "" when there is none. Throws WEIR_ORIGIN_REFUSED. */
  checkUpgrade(origin: string, host: string): void {
    if (origin === "" || this.#isListed(origin) || isSame(origin, host)) return;
    throw new WeirError("WEIR_ORIGIN_REFUSED");
  }

  /** What an answer to a request from this origin says to the browser. */
  answerHeaders(origin: string): Headers {
    if (this.#listed.size === 0) return {};
    // Also without an origin: a cache must not give a page the answer that was meant for nobody.
    if (origin === "" || !this.#isListed(origin)) return { Vary: "Origin" };
    return { Vary: "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": ANSWER_HEADERS };
  }

  /** Beside `answerHeaders`, on the answer to OPTIONS. `methods` is the route's list, as in `Allow`. */
  preflightHeaders(origin: string, methods: string): Headers {
    if (origin === "" || !this.#isListed(origin)) return {};
    return {
      "Access-Control-Allow-Methods": methods,
      "Access-Control-Allow-Headers": REQUEST_HEADERS,
      "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
    };
  }

  #isListed(origin: string): boolean {
    return this.#listed.has(origin) || this.#listed.has("*");
  }
}

/** A proxy that ends TLS makes the scheme unknowable here, so hosts are compared. */
function isSame(origin: string, host: string): boolean {
  try {
    return host !== "" && new URL(origin).host === host.toLowerCase();
  } catch {
    return false;
  }
}
