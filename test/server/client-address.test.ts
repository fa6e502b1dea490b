/** Whose address a request counts under: nobody but a trusted proxy may name another one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientAddresses, parseProxy } from "../../server/client-address.ts";

const text = (proxies: readonly string[], peer: string, forwardedFor: string) =>
  new ClientAddresses(proxies).of(peer, () => (forwardedFor === "" ? [] : [forwardedFor])).text;

test("X-Forwarded-For of a peer that is not trusted is not believed", () => {
  assert.equal(text([], "203.0.113.9", "198.51.100.1"), "203.0.113.9");
  assert.equal(text(["10.0.0.0/8"], "203.0.113.9", "198.51.100.1"), "203.0.113.9");
});

test("behind trusted proxies it is the last address that none of them has", () => {
  assert.equal(text(["10.0.0.0/8"], "10.1.1.1", "198.51.100.1"), "198.51.100.1");
  assert.equal(text(["10.0.0.0/8"], "10.1.1.1", "6.6.6.6, 198.51.100.1, 10.2.2.2"), "198.51.100.1", "6.6.6.6 is made up");
  assert.equal(text(["10.0.0.0/8"], "10.1.1.1", ""), "10.1.1.1");
  assert.equal(text(["10.0.0.0/8"], "10.1.1.1", "nonsense"), "10.1.1.1");
  assert.equal(text(["10.0.0.0/8"], "10.1.1.1", "10.3.3.3"), "10.3.3.3");
  assert.equal(text(["::1"], "0000:0000:0000:0000:0000:0000:0000:0001", "2001:db8::7"), "2001:db8::7");
  assert.equal(text(["127.0.0.1"], "::ffff:127.0.0.1", "198.51.100.1"), "198.51.100.1");
  assert.equal(text(["10.0.0.1"], "10.0.0.1", `${"1.1.1.1,".repeat(10_000)}198.51.100.1`), "198.51.100.1");
});

test("a proxy may add a line of its own after the client's", () => {
  const { text: last } = new ClientAddresses(["10.0.0.1"]).of("10.0.0.1", () => ["6.6.6.6", "198.51.100.1"]);
  assert.equal(last, "198.51.100.1");
});

test("addresses of one customer count as one, those of the loopback interface as none", () => {
  const group = (peer: string) => new ClientAddresses([]).of(peer, () => []).group;
  assert.equal(group("203.0.113.9"), "203.0.113.9");
  assert.equal(group("::ffff:203.0.113.9"), "203.0.113.9");
  assert.equal(group("2001:db8:1:2::5"), "2001:db8:1:2::/64");
  assert.equal(group("2001:0db8:0001:0002:ffff:0000:0000:0001"), "2001:db8:1:2::/64");
  assert.notEqual(group("2001:db8:1:3::5"), group("2001:db8:1:2::5"));
  assert.equal(group("2001:db8::1"), "2001:db8:0:0::/64");
  for (const loopback of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]) assert.equal(group(loopback), undefined);
});

test("the setting takes addresses and subnets only", () => {
  for (const good of ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "0.0.0.0/0"]) assert.equal(parseProxy(good), good);
  for (const bad of ["proxy.example", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "", "::1/129"]) {
    assert.equal(parseProxy(bad), undefined, bad);
  }
});
