"""A real object store that speaks S3 and checks every signature: SeaweedFS, in a process of its own."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from support import free_port

ACCESS_KEY_ID = "AKIDEXAMPLETESTS0001"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-central-1"
HOST = "store.example"
"""What buckets may stand before in the host's name."""

_START_SECONDS = 60.0


def program() -> Path | None:
    """Return SeaweedFS's program, which its package puts beside Python; None where it is not."""
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    return Path(found) if found else None


class ObjectStore:
    """The store; buckets are made by a client that is not ours."""

    def __init__(self, folder: Path) -> None:
        weed = program()
        assert weed is not None
        access = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [access]}))
        (folder / "data").mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {
            "s3.port": self.port,
            **{name: free_port() for name in ("master.port", "volume.port", "filer.port", "s3.port.grpc")},
            **{name: free_port() for name in ("master.port.grpc", "volume.port.grpc", "filer.port.grpc")},
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        line = [
            *(str(weed), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}", "-s3"),
            *(f"-s3.config={folder / 's3.json'}", f"-s3.domainName={HOST}:{self.port}"),
            *("-volume.max=1000", "-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false"),
            *(f"-{name}={port}" for name, port in ports.items()),
        ]
        self._log = (folder / "weed.log").open("wb")
        self.process = subprocess.Popen(line, stdout=self._log, stderr=subprocess.STDOUT, cwd=folder)
        self.client: Any = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )
        self._wait(folder)

    def _wait(self, folder: Path) -> None:
        """Wait until a bucket can be made and an object written to it."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.make_bucket("started")
                self.client.put_object(Bucket="started", Key="it", Body=b"has")
            except Exception as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.kill()
                    told = (folder / "weed.log").read_text()[-4000:]
                    raise AssertionError(f"the object store did not start:\n{told}") from error
                time.sleep(0.1)
            else:
                return

    def make_bucket(self, name: str) -> str:
        """Make a bucket; return its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return what each key of a bucket holds, in the order of keys."""
        listed = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {
            each["Key"]: self.client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed
        }

    def kill(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._log.close()
