"""The HiPS of releases, as Aladin reads them."""
