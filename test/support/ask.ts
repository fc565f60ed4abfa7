// One request to the proxy itself, on a connection of its own, and the answer.
import type { RunningProxy } from "./binary.ts";
import { connectProxy, get } from "./client.ts";
import { exchange, type Response } from "./http-message.ts";

export async function askRaw(proxy: RunningProxy, raw: string): Promise<Response> {
  const client = await connectProxy(proxy);
  const answer = await exchange(client, raw);
  client.destroy();
  return answer;
}

export function ask(proxy: RunningProxy, path: string, fields: readonly string[] = []): Promise<Response> {
  return askRaw(proxy, get(path, "localhost", fields));
}
