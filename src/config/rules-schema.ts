// The shape of network.rules in the config file: a list of hosts, each alone or with its method and path rules.
// What a rule may say is decided by policy/rule.ts. wire.md section 2 (network.rules).

import { z } from "zod";
import { parseRule } from "../policy/rule.ts";
import { compileRules } from "../policy/rules.ts";
import type { RuleConfig } from "./config.ts";
import { BadSetting, checked, parsePattern } from "./setting.ts";

type HostRules = Omit<RuleConfig, "line">;

const RULE = "is no rule, expected one such as allow GET /repos/** or deny * /**";

const item = z
  .union([
    z.string().meta({ title: "host pattern", description: "A host without rules: it is allowed" }),
    z
      .record(
        z.string().meta({ title: "host pattern" }),
        z.array(z.string().meta({ title: "rule", description: "allow or deny, a method or *, a path" })),
      )
      .meta({ description: "A host with its rules; the first that matches decides" }),
  ])
  .transform((value, context): readonly HostRules[] => {
    const found: HostRules[] = [];
    const attempt = (path: (string | number)[], check: () => unknown): void => {
      try {
        check();
      } catch (error) {
        if (!(error instanceof BadSetting)) throw error;
        context.addIssue({ code: "custom", path, message: error.message, params: { masked: error.masked } });
      }
    };
    if (typeof value === "string") {
      attempt([], () => found.push({ host: parsePattern(value), rules: [] }));
      return found;
    }
    const hosts = Object.entries(value);
    if (hosts.length === 0) context.addIssue({ code: "custom", message: "expected a host with its rules" });
    for (const [host, rules] of hosts) {
      let valid = false;
      attempt([host], () => {
        parsePattern(host);
        valid = true;
        if (rules.length === 0) throw new BadSetting("expected at least one rule, or the host alone");
      });
      const shownHost = valid ? host : "this host";
      rules.forEach((rule, i) => {
        attempt([host, i], () => checked(rule, () => parseRule(rule, shownHost), RULE));
      });
      found.push({ host, rules });
    }
    return found;
  });

/** One entry per item of the list; each holds one host, or as many as its mapping has. */
export const rulesSchema = z.array(item).superRefine((items, context) => {
  try {
    compileRules(items.flat());
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    context.addIssue({ code: "custom", message: error.message, params: { masked: "do not fit together" } });
  }
});
