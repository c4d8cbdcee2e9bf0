/** The section that leads to the page with the model. */
import { basename, dirname, relative } from "@std/path";
import { Command, type Part, Section } from "../markup.tsx";
import { megabytes, type TryIt } from "../tryit.ts";

/** @param page Where the report is stored, so that the link finds its way. */
export function tryItSection(tryIt: TryIt | undefined, page = "reports/index.html"): Part {
  return (
    <Section id="try-it" title="Try it">
      {tryIt
        ? <Leading {...tryIt} href={relative(dirname(page), tryIt.path).replaceAll("\\", "/")} />
        : (
          <p>
            The diffusion model can run in your browser, on a separate page. This report has none
            yet: <Command text="deno task serve" /> makes it from trained weights and opens it.
          </p>
        )}
    </Section>
  );
}

function Leading({ weights, modelBytes, bytes, href }: TryIt & { href: string }) {
  return (
    <>
      <p>
        The diffusion model runs in your browser too: give it the beginning of a text, or a text
        with gaps, and watch it fill them. Type <Command text="deno task serve" />{" "}
        to open it; under a server this link leads there:{" "}
        <a href={href}>try the diffusion model</a>.
      </p>
      <p class="fine">
        It is the model in {basename(weights)}, stored in {megabytes(modelBytes)}{" "}
        MB, run by onnxruntime-web on the GPU where the browser has WebGPU, else on the CPU; the
        folder next to this page takes {megabytes(bytes)}{" "}
        MB. A page from disk may not load such files, so it needs the server; nothing is sent
        anywhere.
      </p>
    </>
  );
}
