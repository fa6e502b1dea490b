/** Every fault that is tested, by family. */
import { atRest } from "./at-rest.ts";
import { diskErrors } from "./disk-errors.ts";
import type { Fault } from "./fault.ts";
import { fullDisk } from "./full-disk.ts";
import { questdb } from "./questdb.ts";
import { stopped } from "./stopped.ts";
import { surroundings } from "./surroundings.ts";

export const faults: readonly Fault[] = [...diskErrors, ...fullDisk, ...stopped, ...atRest, ...questdb, ...surroundings];
