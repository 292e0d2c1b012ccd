/**
 * The memory of algorithms that tests make without an engine.
 *
 * @module
 */
import { EngineMemory } from "../../src/engine/engine_memory.ts";

/** Memory for one operation at a time. */
export const engineMemory: EngineMemory = new EngineMemory();
