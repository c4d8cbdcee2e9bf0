/** Chromium for tests: found by the variable CHROMIUM or on the PATH. */
import { type Browser, chromium } from "playwright-core";

export const chromiumPath = findChromium();
if (!chromiumPath) {
  console.error("No Chromium on the PATH or in CHROMIUM: the tests in a browser are skipped");
}

/** Starts it, with more flags if need be; it asks for nothing from the network by itself. */
export function launchChromium(...flags: string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
      ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      flags,
    ),
  });
}

function findChromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  const candidates = [
    Deno.env.get("CHROMIUM") ?? "",
    ...folders.flatMap((folder) => names.map((name) => `${folder}/${name}`)),
  ];
  return candidates.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}
