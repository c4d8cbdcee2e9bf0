import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { UserError } from "../../engines/errors.ts";
import { explainFailures, SetupError } from "./folders.ts";

Deno.test("what a setup lacks, and what the system refuses, is one line with what to do; a bug of ours stays one", () =>
  inFolder(async (folder) => {
    const fails = (work: () => Promise<unknown>) =>
      assertRejects(() => explainFailures("a thing", work), Error);
    const lacking = await fails(() => Promise.reject(new SetupError("there is no tool", "get it")));
    assertEquals(lacking.message, "Cannot set up a thing: there is no tool; get it");

    const path = join(folder, "missing", "x");
    const { message } = await fails(() => Deno.mkdir(path));
    const end = "; check the folder and the disk, or choose another --prefix";
    assertEquals(message.startsWith("Cannot set up a thing: "), true, message);
    assertEquals([message.includes(path), message.endsWith(end)], [true, true], message);

    const problem = { action: 'write "x"', found: "full", advice: "free some" };
    const explained = Object.assign(new UserError(problem), { code: "X" });
    assertEquals(await fails(() => Promise.reject(explained)), explained);
    const bug = new TypeError("x is not a function");
    assertEquals(await fails(() => Promise.reject(bug)), bug);
  }));
