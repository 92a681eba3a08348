"""Images of the releases as ObsCore 1.1 describes them: ``ivoa.obscore``, SIA, DataLink."""
