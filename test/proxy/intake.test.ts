// What a client has sent and nobody has read: one head, its body, the next head, whatever the cuts.
// Every single cut is tried.
import { describe, expect, test } from "bun:test";
import { requestFraming } from "../../src/http1/framing.ts";
import { Intake } from "../../src/proxy/intake.ts";

class Script {
  readonly seen: string[] = [];
  readonly intake: Intake;
  #body = "";

  constructor() {
    this.intake = new Intake({
      onBodySpan: (bytes) => {
        this.#body += Buffer.from(bytes).toString("latin1");
      },
    });
  }

  /** Reads all it can after every piece. */
  feed(...pieces: readonly string[]): this {
    const { intake } = this;
    for (const piece of pieces) {
      intake.push(Buffer.from(piece, "latin1"));
      while (!intake.empty) {
        if (intake.bodyDone) {
          const head = intake.readHead();
          if (head === undefined) break;
          this.seen.push(`${head.method} ${head.target}`);
          intake.startBody(requestFraming(head));
        } else {
          intake.readBody();
        }
        if (intake.bodyDone && this.#body !== "") {
          this.seen.push(this.#body);
          this.#body = "";
        }
      }
    }
    return this;
  }
}

const SCRIPT =
  "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" +
  "GET /b HTTP/1.1\r\nHost: h\r\n\r\n" +
  "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n" +
  "GET /d HTTP/1.1\r\nHost: h\r\n\r\n";
const SEEN = ["POST /a", "hello", "GET /b", "POST /c", "abcde", "GET /d"];

describe("the intake", () => {
  test("tells heads and bodies apart in one chunk", () => {
    expect(new Script().feed(SCRIPT).seen).toEqual(SEEN);
  });

  test("tells them apart byte by byte", () => {
    expect(new Script().feed(...SCRIPT).seen).toEqual(SEEN);
  });

  test("tells them apart at every single cut", () => {
    for (let cut = 1; cut < SCRIPT.length; cut++) {
      const { seen } = new Script().feed(SCRIPT.slice(0, cut), SCRIPT.slice(cut));
      expect(seen).toEqual(SEEN);
    }
  });

  test("knows how it stands", () => {
    const { intake } = new Script();
    expect([intake.idle, intake.empty, intake.insideHead, intake.bodyDone]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    intake.push(Buffer.from("POST / HT"));
    expect([intake.idle, intake.empty]).toEqual([false, false]);
    expect(intake.readHead()).toBeUndefined();
    expect([intake.idle, intake.empty, intake.insideHead]).toEqual([false, true, true]);
    intake.push(Buffer.from("TP/1.1\r\n\r\n12345678"));
    expect(intake.readHead()?.method).toBe("POST");
    expect([intake.insideHead, intake.empty]).toEqual([false, false]);
    intake.startBody({ kind: "length", length: 10 });
    expect([intake.bodyDone, intake.bodyLeft, intake.bodySize]).toEqual([false, 10, 0]);
    intake.readBody();
    expect([intake.bodyDone, intake.bodyLeft, intake.bodySize, intake.empty]).toEqual([false, 2, 8, true]);
    intake.push(Buffer.from("90GET"));
    intake.readBody();
    expect([intake.bodyDone, intake.bodyLeft, intake.bodySize, intake.empty]).toEqual([true, 0, 10, false]);
    intake.readBody();
    expect(intake.bodySize).toBe(10);
    expect(Buffer.from(intake.takeAll()).toString()).toBe("GET");
    expect([intake.idle, intake.takeAll().length]).toEqual([true, 0]);
  });

  test("gives the trailers of the body that has just ended", () => {
    const { intake } = new Script().feed(SCRIPT.slice(0, SCRIPT.indexOf("GET /d")));
    expect(intake.trailers()?.get("x")).toBe("y");
    intake.startBody({ kind: "none" });
    expect(intake.trailers()).toBeUndefined();
  });

  test("throws on bytes that are no request", () => {
    const { intake } = new Script();
    intake.push(Buffer.from("garbage\r\n\r\n"));
    expect(() => intake.readHead()).toThrow("malformed request");
  });
});
