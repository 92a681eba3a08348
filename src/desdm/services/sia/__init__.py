"""Search for images (IVOA SIA 2.0): the images of the releases by place, band, time and more."""
