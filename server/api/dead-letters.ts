/** `GET /v1/dead-letters`: what was not accepted, newest first, with the tenant's ledger. */
import { z } from "zod";
import { errorCodes, WeirError } from "../../protocol/error-codes.ts";
import type { LiveData } from "../../workers/ports.ts";
import type { Route } from "../route.ts";

const LETTERS_DEFAULT = 100;
const LETTERS_MAX = 1_000;

const deadLettersAnswer = z.object({
  deadLetters: z.array(
    z.object({
      host: z.int(),
      offset: z.int(),
      index: z.int(),
      code: z.string(),
      path: z.string().nullable(),
      eventId: z.string(),
      ingestTimeMs: z.number(),
      raw: z.string().meta({ description: "The event as it came, as JSON text" }),
    }),
  ),
  ledger: z.object({
    received: z.int(),
    accepted: z.int(),
    duplicate: z.int(),
    late: z.int(),
    invalid: z.int(),
    imbalance: z.int().meta({ description: "received minus all verdicts; always 0" }),
  }),
});

export function deadLetterRoutes({ liveData }: { liveData: LiveData }): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/dead-letters",
      scope: "admin",
      summary: "Events that were not accepted, and the ledger",
      parameters: [
        {
          name: "limit",
          in: "query",
          required: false,
          description: `How many at most; default ${LETTERS_DEFAULT}`,
          schema: z.int().min(1).max(LETTERS_MAX),
        },
        { name: "code", in: "query", required: false, description: "Only those with this code", schema: z.string() },
      ],
      answers: { 200: { description: "Dead letters and ledger", schema: deadLettersAnswer } },
      errors: ["WEIR_QUERY_INVALID", "WEIR_HOST_FAILED"],
      async handle({ owner, query }) {
        const limit = limitOf(query.get("limit"));
        const code = codeFrom(query.get("code"));
        const [deadLetters, ledger] = await Promise.all([
          liveData.deadLetters(owner.tenant, code === undefined ? { limit } : { limit, code }),
          liveData.ledger(owner.tenant),
        ]);
        const { received, accepted, duplicate, late, invalid } = ledger;
        const imbalance = received - accepted - duplicate - late - invalid;
        return { status: 200, body: { deadLetters, ledger: { received, accepted, duplicate, late, invalid, imbalance } } };
      },
    },
  ];
}

function limitOf(text: string | null): number {
  if (text === null) return LETTERS_DEFAULT;
  const limit = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= LETTERS_MAX) return limit;
  throw new WeirError("WEIR_QUERY_INVALID", `The limit is 1 to ${LETTERS_MAX}.`, { path: "limit" });
}

function codeFrom(text: string | null): string | undefined {
  if (text === null) return undefined;
  if (Object.hasOwn(errorCodes, text)) return text;
  throw new WeirError("WEIR_QUERY_INVALID", "No such code.", { path: "code" });
}
