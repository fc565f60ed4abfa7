import { expect, test } from "bun:test";
import { forgetProxyVariables } from "../../src/cli/environment.ts";

test("proxy variables go in any case, all else stays", () => {
  const env: Record<string, string | undefined> = {
    HTTP_PROXY: "http://127.0.0.1:1",
    https_proxy: "x",
    All_Proxy: "x",
    NO_PROXY: "x",
    MOAT_PROXY_CONFIG: "moat.yaml",
    HTTP_PROXY_TOKEN: "t",
    PATH: "/bin",
  };
  forgetProxyVariables(env);
  expect(env).toEqual({ MOAT_PROXY_CONFIG: "moat.yaml", HTTP_PROXY_TOKEN: "t", PATH: "/bin" });
});
