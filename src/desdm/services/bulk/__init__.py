"""The files of releases over HTTP: ranges, validators, digests; verified before they go out."""
