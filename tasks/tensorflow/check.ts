/**
 * Tries TensorFlow as set up, in a process of its own: an addon that does not fit this machine may
 * end it.
 */
import { tensorflowStatus } from "../../core/engines/tensorflow.ts";
import { printJson } from "../cli.ts";

printJson(await tensorflowStatus());
