/**
 * Chromium, or a browser made from it, for tests: named by the variable CHROMIUM, on the PATH, or
 * where Chrome installs itself.
 */
import { DELIMITER, join } from "@std/path";
import { type Browser, chromium } from "playwright-core";

export const chromiumPath = findChromium();
if (!chromiumPath) {
  console.error("There is no Chromium or Chrome here: the tests in a browser are skipped");
}

/** The browsers that run, by their flags. */
const running = new Map<string, Promise<Browser>>();

Deno.test.afterAll(async () => {
  for (const browser of running.values()) await (await browser).close();
});

/** Starts it, once for each set of flags. It asks for nothing from the network by itself. */
export function launchChromium(...flags: string[]): Promise<Browser> {
  const key = flags.join(" ");
  if (!running.has(key)) running.set(key, launch(flags));
  return running.get(key)!;
}

function launch(flags: string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
      ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      flags,
    ),
  });
}

function findChromium(): string | undefined {
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  const names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
  const folders = (Deno.env.get("PATH") ?? "").split(DELIMITER);
  const installed = {
    darwin: ["Chromium", "Google Chrome"]
      .map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`),
    windows: ["ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA"]
      .map((name) => join(Deno.env.get(name) ?? "", "Google/Chrome/Application/chrome.exe")),
  }[Deno.build.os as string] ?? [];
  const candidates = [
    Deno.env.get("CHROMIUM") ?? "",
    ...folders.flatMap((folder) => names.map((name) => join(folder, name + suffix))),
    ...installed,
  ];
  return candidates.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}
