// The installed browser, which may connect only to this machine.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

// The headless shell is the same browser without its windows, and needs a third of the processor time.
const PATHS = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch(more = []) {
  const executablePath = process.env.CHROMIUM ?? PATHS.find((path) => existsSync(path));
  const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
  return chromium.launch({ executablePath, args: [...args, ...more] });
}
