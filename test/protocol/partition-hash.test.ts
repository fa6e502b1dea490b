/** The hash is part of the on-disk format: published vectors of MurmurHash3_x86_32, and the rule for keys. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { murmur3, partitionOf } from "../../protocol/partition-hash.ts";

describe("murmur3", () => {
  // Vectors that implementations of MurmurHash3_x86_32 share: https://stackoverflow.com/a/31929528
  const vectors: [string, number, number][] = [
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["ffffffff", 0, 0x76293b50],
    ["21436587", 0, 0xf55b516b],
    ["21436587", 0x5082edee, 0x2362f9de],
    ["214365", 0, 0x7e4a8634],
    ["2143", 0, 0xa0f7b07a],
    ["21", 0, 0x72661cf4],
    ["00000000", 0, 0x2362f9de],
    ["000000", 0, 0x85f0b427],
    ["0000", 0, 0x30f4c306],
    ["00", 0, 0x514e28b7],
    [Buffer.from("Hello, world!").toString("hex"), 0x9747b28c, 0x24884cba],
    [Buffer.from("The quick brown fox jumps over the lazy dog").toString("hex"), 0x9747b28c, 0x2fa826cd],
    [Buffer.from("ππππππππ").toString("hex"), 0x9747b28c, 0xd58063c1],
  ];
  for (const [hex, seed, expected] of vectors) {
    it(`${hex || "nothing"} with seed ${seed}`, () => {
      const bytes = Buffer.from(hex, "hex");
      assert.equal(murmur3(bytes, bytes.length, seed), expected);
    });
  }
});

describe("partitionOf", () => {
  const byHand = (tenant: string, session: string, count: number) => {
    const bytes = Buffer.from(`${tenant}\0${session}`);
    return murmur3(bytes, bytes.length) % count;
  };
  it("hashes tenant, zero byte, session id as UTF-8", () => {
    for (const session of ["", "s1", "é", "日本", "a".repeat(256), "mixed é then ascii", "\u{1F600}"]) {
      assert.equal(partitionOf("demo", session, 16), byHand("demo", session, 16));
    }
  });
  it("keeps tenants apart", () => assert.notEqual(partitionOf("a", "bc", 1 << 30), partitionOf("ab", "c", 1 << 30)));
  it("spreads sessions evenly", () => {
    const counts = new Array<number>(16).fill(0);
    for (let session = 0; session < 16_000; session++) {
      const partition = partitionOf("demo", `session-${session}`, 16);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    assert.ok(Math.min(...counts) > 850 && Math.max(...counts) < 1_150, counts.join());
  });
});
