/**
 * What answers say to browsers about pages of other origins (Fetch standard, "CORS protocol"): nothing, unless the setting
 * `allowedOrigins` lists the page's origin, or `*`. Then the page may send a key and read the answer. Other clients send no
 * `Origin` and are not concerned. Upgrades, which a browser lets any page make, are refused in `upgrade.ts` by the same setting.
 */
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
