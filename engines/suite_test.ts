/** Sessions and kernels on every engine; what needs a model is in `checks/engines/`. */
import { kernelsCases } from "./testing/kernels.ts";
import { sessionCases } from "./testing/sessions.ts";
import { testOnEngines } from "./testing/suite.ts";

await testOnEngines([...sessionCases, ...kernelsCases]);
