/**
 * Where a request comes from: the peer of the socket, or, when that is a proxy of the setting `trustedProxies`, the client that
 * it names in `X-Forwarded-For`. Nobody else's header is believed, or a guesser could blame another address, or a new one for
 * every guess. The gateway asks once for each request or upgrade.
 */
import { BlockList, isIP, isIPv4 } from "node:net";

export interface ClientAddress {
  /** For the audit log. */
  readonly text: string;
  /**
   * Which addresses count as one when keys are guessed: an IPv4 address, or the /64 of an IPv6 one, which is what one customer
   * gets. undefined on the loopback interface: there it may be a proxy with all clients behind it, or the operator.
   */
  readonly group: string | undefined;
}

const HOPS_MAX = 32;

export class ClientAddresses {
  readonly #trusted = new BlockList();
  readonly #trustsAny: boolean;

  /** Addresses and subnets (`10.0.0.0/8`), checked by `parseProxy`. */
  constructor(trustedProxies: readonly string[]) {
    this.#trustsAny = trustedProxies.length > 0;
    for (const proxy of trustedProxies) {
      const [address = "", bits] = proxy.split("/");
      if (bits === undefined) this.#trusted.addAddress(address, familyOf(address));
      else this.#trusted.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  /** `peer` as the socket says it; `forwardedFor` gives the lines of the header, in order, and is asked only when they matter. */
  of(peer: string, forwardedFor: () => readonly string[]): ClientAddress {
    let text = plain(peer);
    if (this.#trustsAny && this.#isTrusted(text)) {
      // Each proxy adds whom it heard from at the end, or as a further line: what a client made up stands before that.
      const hops = forwardedFor().join(",").split(",").slice(-HOPS_MAX);
      while (this.#isTrusted(text)) {
        const hop = plain(hops.pop()?.trim() ?? "");
        if (isIP(hop) === 0) break;
        text = hop;
      }
    }
    return { text, group: isLoopback(text) ? undefined : groupOf(text) };
  }

  #isTrusted(text: string): boolean {
    return isIP(text) !== 0 && this.#trusted.check(text, familyOf(text));
  }
}

/** The setting's text when it is an address or a subnet; else undefined. */
export function parseProxy(text: string): string | undefined {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return undefined;
  if (bits === undefined) return text;
  return /^[0-9]{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128) ? text : undefined;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv4(address) ? "ipv4" : "ipv6";
}

/** An IPv6 address in its short form, an IPv4 address that is mapped into IPv6 as IPv4; anything else as it is. */
function plain(address: string): string {
  if (isIP(address) !== 6) return address;
  const short = new URL(`http://[${address.split("%")[0] ?? ""}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped === null) return short;
  const [high, low] = [Number.parseInt(mapped[1] ?? "0", 16), Number.parseInt(mapped[2] ?? "0", 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

function groupOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = new Array<string>(tail === undefined ? 0 : 8 - left.length - right.length).fill("0");
  return `${[...left, ...zeros, ...right].slice(0, 4).join(":")}::/64`;
}
