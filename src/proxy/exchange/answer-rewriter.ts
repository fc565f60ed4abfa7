// What is changed in one answer on its way to the client: real tokens hidden in its fields, addresses of a relay mapped
// back, and its body given to a transformer. Made only for requests that need it. wire.md sections 6, 9 and 10.

import type { ResponseHead } from "../../http1/head.ts";
import type { HeaderList } from "../../http1/headers.ts";
import type { Credential } from "../../inject/credentials.ts";
import type { Substitution } from "../../inject/token-substitution.ts";
import type {
  AnyTransformer,
  BodyStage,
  StageSink,
  TransformContext,
  TransformRequest,
} from "../../transform/body-stage.ts";
import { type Hidden, Needles } from "../../transform/needles.ts";
import { prepareScrubbedRequest, responseScrub } from "../../transform/scrub.ts";
import { beginCustom } from "../custom-transform.ts";
import type { RelayView } from "../local/relay-view.ts";
import { followed } from "./followed.ts";
import { hiddenCredential, hiddenToken } from "./hidden.ts";

export interface RewriterSettings {
  readonly request: TransformRequest;
  readonly transformers: readonly AnyTransformer[];
  readonly substitutions: readonly Substitution[];
  /** What the request may get; hidden in bodies by response-scrub. */
  readonly credentials: readonly Credential[];
  readonly relay: RelayView | undefined;
}

/** Fields that say where a message ends or what becomes of its connection. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "upgrade",
]);

export class AnswerRewriter {
  readonly #settings: RewriterSettings;
  /** Tokens that were substituted: the client knows their placeholders. */
  #fieldNeedles: Needles | undefined;
  /** The same and the credentials, which nothing but an echo would show; undefined where nothing is scrubbed. */
  #bodyNeedles: Needles | undefined;

  constructor(settings: RewriterSettings) {
    this.#settings = settings;
  }

  /**
   * Asks the upstream for an answer that can be rewritten. Call it when every secret is at hand.
   * @param encoded further spellings in which tokens were sent
   */
  prepareRequest(headers: HeaderList, encoded: readonly Hidden[]): void {
    const { transformers, relay, substitutions, credentials } = this.#settings;
    // As they are sent now: they may be others by the time the answer comes.
    const tokens = [...substitutions.flatMap(hiddenToken), ...encoded];
    this.#fieldNeedles = Needles.of(tokens);
    if (transformers.includes(responseScrub)) {
      this.#bodyNeedles = Needles.of([...tokens, ...credentials.flatMap(hiddenCredential)]);
      prepareScrubbedRequest(headers);
    }
    // A function of the embedding program, or a relay's rewriting of events, reads plain bytes only.
    const plain = relay?.readsEvents(headers) === true || transformers.some(isFunction);
    if (plain && headers.has("accept-encoding")) headers.set("Accept-Encoding", "identity");
  }

  /** What the reason phrase of a head becomes: some servers repeat the path in it. */
  shownReason(reason: string): string {
    return this.#shown?.replaceIn(reason) ?? reason;
  }

  /** Changes the fields of a head or of a trailer section in place. */
  rewriteFields(headers: HeaderList): void {
    const needles = this.#shown;
    for (let i = 0; needles !== undefined && i < headers.values.length; i++) {
      // A token of digits may be the length of some body, and that length is what the client goes by.
      if (FRAMING.has(headers.keys[i] as string)) continue; // the index is within
      headers.values[i] = needles.replaceIn(headers.values[i] as string); // the index is within
    }
    // Last: what a relay seals is the address that the client sees, with its placeholders.
    this.#settings.relay?.rewriteFields(headers);
  }

  get #shown(): Needles | undefined {
    return this.#bodyNeedles ?? this.#fieldNeedles;
  }

  /**
   * The stage that makes the answer's body and head; undefined: they go on as they are.
   * @throws ProxyError when the answer may not go on as it is
   */
  begin(head: ResponseHead, bodyless: boolean, sink: StageSink): BodyStage | undefined {
    const { request, relay, transformers } = this.#settings;
    const context: TransformContext = { request, bodyless, needles: this.#bodyNeedles };
    const events = relay?.eventTransformer;
    if (events === undefined) return beginFirst(transformers, context, head, sink);
    return followed(
      (inner) => beginFirst(transformers, context, head, inner),
      (answer, outer) => events.begin(context, copyOf(answer), outer),
      head,
      sink,
    );
  }
}

/** The first that answers wins. */
function beginFirst(
  transformers: readonly AnyTransformer[],
  context: TransformContext,
  head: ResponseHead,
  sink: StageSink,
): BodyStage | undefined {
  for (let i = 0; i < transformers.length; i++) {
    const transformer = transformers[i] as AnyTransformer; // the index is within
    if (isFunction(transformer)) return beginCustom(transformers.slice(i), context, head, sink);
    const stage = transformer.begin(context, copyOf(head), sink);
    if (stage !== undefined) return stage;
  }
  return undefined;
}

function copyOf(head: ResponseHead): ResponseHead {
  return { ...head, headers: head.headers.clone() };
}

function isFunction(
  transformer: AnyTransformer,
): transformer is Extract<AnyTransformer, (...args: never) => unknown> {
  return typeof transformer === "function";
}
