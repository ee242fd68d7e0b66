"""A service with a known split: each request computes 4.9 ms in tokenize and 2.1 ms in embed."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def tokenize(text, seconds):
    end = time.thread_time() + seconds
    total = 0
    while time.thread_time() < end:
        for word in text.split():
            for letter in word:
                total = (total * 31 + ord(letter)) & 0xFFFF
    return total


def embed(text, seconds):
    end = time.thread_time() + seconds
    vector = [0.0] * 16
    while time.thread_time() < end:
        for place, letter in enumerate(text):
            vector[place % 16] = vector[place % 16] * 0.97 + ord(letter)
    return vector


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"status": "healthy"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        text = json.loads(body)["text"]
        tokenize(text, 0.0049)
        embed(text, 0.0021)
        self.answer({"sentiment": "neutral"})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
