"""What the survey is composed of: camera, bands, nites, headers, mask bits, images, tiles and regions."""
