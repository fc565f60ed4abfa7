# Reads lines "CA file, port or chain file, name"; connects to 127.0.0.1 and prints "ok" or the refusal for each.
# Python's strict mode, the default since 3.13.
import socket
import ssl
import sys

for line in sys.stdin:
    ca, port, name = line.rstrip("\n").split("\t")
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=name):
                print("ok")
    except ssl.SSLCertVerificationError as error:
        print("refused:", error.verify_message)
