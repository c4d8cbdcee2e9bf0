import { assertEquals } from "@std/assert";
import { readPt, readPtFile } from "../files/pt.ts";
import { readZip, writeZip } from "../files/zip.ts";
import { unwrapNames } from "./foreign_weights.ts";

const testdata = new URL("testing/data/", import.meta.url);

// Each was written by PyTorch for a network like that of gpt.pt, whose numbers take their place here.
for (const name of ["proto4", "parameters", "lightning", "nanogpt_ckpt", "module_orig_mod"]) {
  Deno.test(`the state dict in ${name} is found and read`, () => {
    const file = Deno.readFileSync(new URL("gpt.pt", testdata));
    const pickle = Deno.readFileSync(new URL(`${name}.pkl`, testdata));
    const entries = readZip(file).set("gpt/data.pkl", pickle);
    const { tensors, dtypes } = readPtFile(
      writeZip(Array.from(entries, ([name, data]) => ({ name, data }))),
    );
    assertEquals(unwrapNames(tensors), readPt(file));
    assertEquals([...dtypes], ["F32"]);
  });
}
