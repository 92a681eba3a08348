"""What the survey is made of: camera, bands, nites, headers, mask bits, images, tiles and regions."""
