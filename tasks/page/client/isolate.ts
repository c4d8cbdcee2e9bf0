/**
 * Threads for pages of servers that can't set headers: browsers give WebAssembly threads only to
 * pages that are isolated from other sites, by two headers. A service worker adds them to what the
 * page loads, after one reload.
 */

/** The file of the service worker. */
const SCRIPT = "isolation.js";
const TRIED = "isolation was tried";

/** Isolates the page if it is not and can be. Returns whether the page is about to be loaded again. */
export async function isolate(): Promise<boolean> {
  if (crossOriginIsolated || !isSecureContext || !("serviceWorker" in navigator)) return false;
  try {
    if (sessionStorage.getItem(TRIED)) return false; // it does not help here
    sessionStorage.setItem(TRIED, "yes");
    await navigator.serviceWorker.register(new URL(SCRIPT, document.baseURI));
    await navigator.serviceWorker.ready;
    location.reload();
    return true;
  } catch {
    return false; // one thread will do
  }
}
