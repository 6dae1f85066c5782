// The program under test: started in a separate directory, stopped at the end.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const binary = process.env.ROLLCALL ?? "target/release/rollcall";
// The OpenID provider of the tests listens on this machine.
const ALLOW = ["--outgoing-allow-networks", "127.0.0.1"];
const started = [];

/** A new server: its address, the address of its first run, and a function that runs commands on its data. */
export async function start() {
  const scratch = mkdtempSync(join(tmpdir(), "rollcall-browser-"));
  const data = join(scratch, "data");
  const child = spawn(binary, ["serve", "--data-dir", data, "--listen", "127.0.0.1:0", ...ALLOW], { stdio: ["ignore", "pipe", "pipe"] });
  const server = { child, scratch, out: "", err: "" };
  started.push(server);
  child.stdout.on("data", (text) => { server.out += text; });
  child.stderr.on("data", (text) => { server.err += text; });
  const patterns = { address: /listening on (\S+)/, setup: /(http\S*\/setup\/\S+)/ };
  for (let tries = 0; tries < 200; tries += 1) {
    const found = Object.entries(patterns).map(([name, pattern]) => [name, server.out.match(pattern)?.[1]]);
    if (found.every(([, value]) => value)) {
      const run = (args, input = "") => execFileSync(binary, [...args, "--data-dir", data], { encoding: "utf8", input });
      return { ...Object.fromEntries(found), run };
    }
    if (child.exitCode !== null) { break; }
    await new Promise((go) => { setTimeout(go, 50); });
  }
  throw new Error(`the server did not start:\n${server.out}${server.err}`);
}

// The servers end with this process, for whatever reason it ends.
for (const signal of ["SIGINT", "SIGTERM"]) { process.on(signal, () => process.exit(1)); }
process.on("exit", () => { for (const { child } of started) { child.kill("SIGKILL"); } });

/** Stops every server that was started here. */
export async function stopAll() {
  for (const { child, scratch } of started.splice(0)) {
    if (child.exitCode === null) {
      const ended = new Promise((go) => { child.once("exit", go); });
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The source of axe, which is injected into the pages. */
export function axe() {
  return readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
}
