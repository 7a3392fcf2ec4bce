"""nginx as a plain reverse proxy: the floor. `apt-get install nginx-light`."""

import shutil
from pathlib import Path

from benchmarks.rivals.rival import Launch, Rival, ask_version
from benchmarks.wires import OPENAI_COMPATIBLE

# One process serves; a body stays in memory; events are passed on as they come.
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {home}/pid;
error_log {home}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  client_max_body_size 10m;
  client_body_buffer_size 1m;
  keepalive_requests 1000000;
  upstream model {{ server {address}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location = /alive {{ return 200; }}
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


def find(_folder: Path) -> Rival | None:
    """The machine's."""
    path = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if path is None:
        return None

    def prepare(home: Path, port: int, upstream: str) -> Launch:
        file = home / "nginx.conf"
        user = "user root;" if home.owner() == "root" else ""
        address = upstream.removeprefix("http://")
        file.write_text(_CONFIGURATION.format(home=home, port=port, address=address, user=user))
        return Launch(command=(path, "-p", str(home), "-c", str(file), "-e", str(home / "error.log")))

    model = OPENAI_COMPATIBLE.model
    version = ask_version(path, "-v").removeprefix("nginx/")
    return Rival(name="nginx", version=version, models={model: model}, prepare=prepare, alive="/alive")
