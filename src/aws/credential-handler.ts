// Answers requests for credentials: asks for the handler's own token where it has one, then serves what the provider has.
// It caches nothing and tells no reason; the provider's log callback has it. wire.md section 11.

import { digestMatches, tokenDigest } from "../policy/client-auth.ts";
import type { AWSCredentials } from "./credentials.ts";
import { credentialsReply, fetchFailed, presentedToken, unauthorized } from "./ecs-endpoint.ts";

/** Where a handler gets credentials; an AWSCredentialProvider is one. */
export interface CredentialOrigin {
  readonly roleARN: string;
  getCredentials(): Promise<AWSCredentials>;
}

export class AWSCredentialHandler {
  readonly #origin: CredentialOrigin;
  #digest: Uint8Array | undefined;

  constructor(origin: CredentialOrigin) {
    this.#origin = origin;
  }

  /**
   * From now on requests have to show this token. Without one everybody who reaches the handler is served.
   * @throws Error for an empty token, which would look like protection and be none
   */
  setAuthToken(token: string): void {
    if (token === "") throw new Error("the token of the AWS credential handler is empty");
    this.#digest = tokenDigest(token);
  }

  /** Never rejects. */
  async serveHTTP(request: Request): Promise<Response> {
    if (!this.#admits(request)) return unauthorized();
    try {
      return credentialsReply(await this.#origin.getCredentials(), this.#origin.roleARN);
    } catch {
      // The provider has told its log callback why; the reply must not.
      return fetchFailed();
    }
  }

  #admits(request: Request): boolean {
    if (this.#digest === undefined) return true;
    const token = presentedToken(request.headers.get("authorization"));
    return token !== undefined && digestMatches(token, this.#digest);
  }
}
