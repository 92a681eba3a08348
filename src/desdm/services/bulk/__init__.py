"""The files of releases over HTTP: ranges, validators, digests; verified before they are sent."""
