"""The lab: what a test of an app that uses organizations needs beside the wire. Only under `tenantry dev`."""
