// The environment that a proxy must not obey: HTTP_PROXY and friends would lead its own connections back into it.
// wire.md section 1.

const PROXY_VARIABLE = /^(?:https?|ftp|all|no)_proxy$/i;

/** Removes the variables, in any case, before anything could read them. */
export function forgetProxyVariables(env: Record<string, string | undefined>): void {
  for (const name of Object.keys(env)) if (PROXY_VARIABLE.test(name)) delete env[name];
}
