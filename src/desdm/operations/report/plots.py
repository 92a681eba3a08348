"""The plots of a report: QA numbers by band and image, residuals, magnitudes, errors, stars and galaxies, depth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desdm.operations.report.gather import Metric
from desdm.operations.report.science import Depth, Objects, Residuals
from desdm.operations.report.svg import Plot, Scale, number_text
from desdm.survey.bands import BANDS, band_order

__all__ = ["Figure", "band_style", "depth_figure", "metric_figures", "object_figures", "residual_figures"]

Values = npt.NDArray[np.float64]
_MOST_POINTS = 6000
#: Titles of well-known numbers, and their order; others follow with the text that their code gave.
_KNOWN = {
    "fwhm": "FWHM by moments",
    "fwhm_mean": "FWHM_MEAN of PSFEx",
    "sky": "Sky level",
    "mag_zero": "Zero point",
    "zp_offset": "Zero point against the reference",
    "zp_scatter": "Scatter of magnitudes against the reference",
    "dra_rms": "Astrometric scatter in RA",
    "ddec_rms": "Astrometric scatter in Dec",
    "nobjects": "Detections",
    "depth": "Depth (PSF magnitude at error 0.1)",
    "ellipticity": "PSF ellipticity",
    "psf_stars": "Stars that made the PSF",
}


#: What tells numbers of one kind apart, where a report shows more than one of them.
_WORDS = {
    "fwhm": "of adaptive moments of the PSF model at the image's centre, which weigh its wings: larger than FWHM_MEAN",
    "fwhm_mean": "half width of a Moffat fit, at the pixel scale of each image; the verdict's F takes the median over the "
    "CCDs at DES's nominal 0.263 arcsec per pixel, plus DES's offset",
}


class Figure(NamedTuple):
    """A plot with its title and one line on what it shows; ``bands`` are for the legend."""

    title: str
    text: str
    svg: str
    bands: tuple[str, ...] = ()


def band_style(band: str) -> str:
    """Style-sheet class of a band's colour."""
    return f"b-{band}" if band in BANDS else "b-none"


def metric_figures(metrics: Sequence[Metric]) -> tuple[list[Figure], list[Figure]]:
    """Plots of the QA numbers that vary from image to image: the well-known ones, and the others."""
    series: dict[tuple[str, str], list[Metric]] = defaultdict(list)
    for m in metrics:
        series[m.module, m.name].append(m)
    order = list(_KNOWN)
    main_figures: list[tuple[int, Figure]] = []
    others: list[Figure] = []
    for (module, name), metrics_of_name in series.items():
        # One value a band is a row of the table, not a plot.
        if (
            len(metrics_of_name) == len({m.band for m in metrics_of_name})
            or len({m.value for m in metrics_of_name}) == 1
        ):
            continue
        if name in order:
            main_figures.append((order.index(name), _strip(module, metrics_of_name)))
        else:
            others.append(_strip(module, metrics_of_name))
    return [figure for _, figure in sorted(main_figures, key=lambda pair: pair[0])], others


def _strip(module: str, metrics: Sequence[Metric]) -> Figure:
    """Values side by side, grouped by band, with each band's median."""
    first = metrics[0]
    title = _KNOWN.get(first.name, first.text or first.name)
    unit = f" [{first.unit}]" if first.unit else ""
    bands = sorted({m.band for m in metrics}, key=band_order)
    plot = Plot(title, "", f"{first.name}{unit}", height=230, bottom=30)
    total = len(metrics)
    gap = max(1.0, 0.08 * total)
    plot.scale_x([0.0, total + gap * (len(bands) - 1)], pad=0.04)
    plot.scale_y([m.value for m in metrics], pad=0.12)
    at = 0.5
    ticks = []
    for band in bands:
        group = [m for m in metrics if m.band == band]
        middle = float(np.median([m.value for m in group]))
        if len(group) > 1:
            plot.segment(at - 0.4, middle, at + len(group) - 0.6, middle, f"median {band_style(band)}")
        for i, m in enumerate(group):
            words = f"{m.label}: {number_text(m.value)} {m.unit}".rstrip()
            plot.marker(at + i, m.value, band_style(band), words, 5.0 if total < 60 else 2.6)
        ticks.append((at + (len(group) - 1) / 2, band or f"{module}, {len(group)} runs"))
        at += len(group) + gap
    text_of_metric = "" if first.text == title else first.text
    text_of_metric = _WORDS.get(first.name, text_of_metric)
    return Figure(title, f"{module}: {text_of_metric or first.name}", plot.render(xticks=ticks))


def residual_figures(by_band: Sequence[Residuals]) -> list[Figure]:
    """Offsets of positions from the reference stars, and of magnitudes where the reference has them."""
    if not by_band:
        return []
    bands = tuple(band.band for band in by_band)
    count = sum(band.dra.size for band in by_band)
    spread = np.concatenate([np.abs(np.concatenate([band.dra, band.ddec])) for band in by_band])
    reach = float(np.percentile(spread, 98)) * 1.15 or 1.0
    plot = Plot("Position minus reference", "Δα cos δ [mas]", "Δδ [mas]", height=300)
    # One scale for both directions: the field is wider than it is high.
    wide = reach * (plot.width - plot.left - plot.right) / (plot.height - plot.top - plot.bottom)
    plot.scale_x([-wide, wide], pad=0.02)
    plot.scale_y([-reach, reach], pad=0.02)
    plot.segment(-wide, 0, wide, 0, "zero")
    plot.segment(0, -reach, 0, reach, "zero")
    for band in by_band:
        keep = _some(band.dra.size)
        plot.points(band.dra[keep], band.ddec[keep], band_style(band.band), 5.0 if count < 500 else 2.6)
    dra, ddec = (
        np.concatenate([band.dra for band in by_band]),
        np.concatenate([band.ddec for band in by_band]),
    )
    text = (
        f"{count} matches; median ({number_text(round(float(np.median(dra)), 1))}, "
        f"{number_text(round(float(np.median(ddec)), 1))}) mas, robust scatter "
        f"({number_text(round(_scatter(dra), 1))}, {number_text(round(_scatter(ddec), 1))}) mas"
    )
    figures = [Figure("Positions against reference stars", text, plot.render(), bands)]
    figures.append(_offsets_by_magnitude(by_band))
    with_magnitudes = [band for band in by_band if np.isfinite(band.dmag).any()]
    if with_magnitudes:
        figures.append(_magnitude_offsets(with_magnitudes))
    return figures


def _offsets_by_magnitude(by_band: Sequence[Residuals]) -> Figure:
    """Return the figure of position offsets by magnitude."""
    plot = Plot("Offset by magnitude", "magnitude [mag]", "distance from reference [mas]", height=300)
    far = [np.hypot(r.dra, r.ddec) for r in by_band]
    every = np.concatenate(far)
    plot.scale_x(np.concatenate([r.mag for r in by_band]).tolist())
    plot.scale_y(np.clip(every, *np.percentile(every, [0.5, 100])).tolist(), log=True)
    for r, distance in zip(by_band, far, strict=True):
        keep = _some(distance.size)
        plot.points(r.mag[keep], distance[keep], band_style(r.band), 5.0 if every.size < 500 else 2.6)
    text = f"median distance {number_text(round(float(np.median(every)), 1))} mas"
    return Figure("Positions by magnitude", text, plot.render(), tuple(r.band for r in by_band))


def _magnitude_offsets(residuals: Sequence[Residuals]) -> Figure:
    """Return the figure of magnitude offsets by magnitude."""
    plot = Plot("Magnitude minus reference", "magnitude [mag]", "Δ magnitude [mag]", height=300)
    every = np.concatenate([r.dmag[np.isfinite(r.dmag)] for r in residuals])
    reach = max(0.05, float(np.percentile(np.abs(every), 97)) * 1.2)
    plot.scale_x(np.concatenate([r.mag[np.isfinite(r.dmag)] for r in residuals]).tolist())
    plot.scale_y([-reach, reach], pad=0.02)
    plot.segment(plot.x.low, 0, plot.x.high, 0, "zero")
    for r in residuals:
        keep = _some(r.mag.size)
        plot.points(r.mag[keep], r.dmag[keep], band_style(r.band), 5.0 if every.size < 500 else 2.6)
    text_of_metric = ", ".join(
        f"{r.band} {number_text(round(float(np.nanmedian(r.dmag)), 3))} ± {_scatter(r.dmag):.3f}"
        for r in residuals
    )
    return Figure(
        "Magnitudes against reference stars",
        f"median ± robust scatter, mag: {text_of_metric}",
        plot.render(),
        tuple(r.band for r in residuals),
    )


def _scatter(values: Values) -> float:
    """Return the robust scatter of values: 1.4826 times their median absolute deviation."""
    finite = values[np.isfinite(values)]
    return 1.4826 * float(np.median(np.abs(finite - np.median(finite)))) if finite.size else float("nan")


def _some(count: int) -> npt.NDArray[np.intp]:
    """Which of ``count`` points are drawn: all, or evenly spread ones where they would only cover each other."""
    return np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(np.intp)


def _dot(count: int) -> float:
    """Return the size of a dot for that many points."""
    return 5.0 if count < 200 else 3.2 if count < 1500 else 2.0


def object_figures(objects: Objects) -> list[Figure]:
    """Plots of the object table: counts, errors, star-galaxy separation and colours, as far as its columns go."""
    figures = []
    for make in (_histogram, _errors, _spread, _colours, _sky):
        figure = make(objects)
        if figure is not None:
            figures.append(figure)
    return figures


def _finite(values: Values | None) -> Values:
    """Return the magnitudes that are finite and between 0 and 60."""
    return np.zeros(0) if values is None else values[np.isfinite(values) & (values < 60) & (values > 0)]


def _histogram(objects: Objects) -> Figure | None:
    """Return the figure of object counts by magnitude."""
    mags = {b: _finite(objects.column(b, "mag_auto", "mag_psf")) for b in objects.bands}
    mags = {b: m for b, m in mags.items() if m.size}
    if not mags:
        return None
    every = np.concatenate(list(mags.values()))
    low, high = np.percentile(every, [0.5, 99.5])
    width = next(
        w
        for w in (0.1, 0.2, 0.25, 0.5, 1.0)
        if w >= 1.0 or every.size / len(mags) * w / (high - low + w) > 12
    )
    edges = np.arange(np.floor(low / width), np.ceil(high / width) + 1.5) * width
    counts = {b: np.histogram(m, edges)[0] for b, m in mags.items()}
    plot = Plot("Magnitudes", "magnitude [mag]", f"objects per {width:g} mag", height=300)
    peak = max(int(c.max()) for c in counts.values())
    log = peak > 100
    plot.scale_x([float(edges[0]), float(edges[-1])], pad=0.01)
    plot.scale_y([0.8, peak * 1.3] if log else [0, peak * 1.08], log=log, pad=0.0)
    for band, number in counts.items():
        plot.steps(edges, number, band_style(band), 0.8 if log else 0.0)
    return Figure("Number counts", f"{objects.count} objects", plot.render(), tuple(mags))


def _errors(objects: Objects) -> Figure | None:
    """Return the figure of magnitude errors by magnitude."""
    pairs = {
        b: (m, e)
        for b in objects.bands
        for kind in ("psf", "auto")
        if (m := objects.column(b, f"mag_{kind}")) is not None
        and (e := objects.column(b, f"magerr_{kind}")) is not None
    }
    good = {
        b: np.isfinite(m) & np.isfinite(e) & (m > 0) & (m < 60) & (e > 0) & (e < 2)
        for b, (m, e) in pairs.items()
    }
    drawn = {b: (pairs[b][0][g], pairs[b][1][g]) for b, g in good.items() if g.any()}
    if not drawn:
        return None
    plot = Plot("Magnitude errors", "magnitude [mag]", "error [mag]", height=300)
    plot.scale_x(np.concatenate([m for m, _ in drawn.values()]).tolist())
    plot.scale_y(np.concatenate([e for _, e in drawn.values()]).tolist(), log=True)
    if plot.y.low < 0.1086 < plot.y.high:
        plot.segment(plot.x.low, 0.1086, plot.x.high, 0.1086, "zero")
        plot.note(plot.left + 6, plot.y(0.1086) - 4, "S/N 10")
    for band, (m, e) in drawn.items():
        keep = _some(m.size)
        plot.points(m[keep], e[keep], band_style(band), _dot(m.size))
    return Figure("Errors of magnitudes", "as the catalogue states them", plot.render(), tuple(drawn))


def _spread(objects: Objects) -> Figure | None:
    """Return the figure of star-galaxy separation by magnitude."""
    best = None
    for band in objects.bands:
        mag, spread = objects.column(band, "mag_auto", "mag_psf"), objects.column(band, "spread_model")
        if mag is None or spread is None:
            continue
        good = np.isfinite(mag) & np.isfinite(spread) & (mag > 0) & (mag < 60) & (np.abs(spread) < 0.1)
        if good.any() and (best is None or good.sum() > best[1].size):
            best = (band, mag[good], spread[good])
    if best is None:
        return None
    band, mag, spread = best
    plot = Plot("Stars and galaxies", f"magnitude {band} [mag]", "spread_model", height=300)
    plot.scale_x(mag.tolist())
    plot.scale_y([*np.percentile(spread, [0.5, 99]).tolist(), -0.01, 0.02])
    plot.segment(plot.x.low, 0.003, plot.x.high, 0.003, "zero")
    plot.note(plot.width - plot.right - 6, plot.y(0.003) - 5, "more extended than a star", anchor="end")
    keep = _some(mag.size)
    plot.points(mag[keep], spread[keep], band_style(band), _dot(mag.size))
    return Figure("Stars and galaxies", "spread_model is 0 for stars", plot.render(), (band,))


def _colours(objects: Objects) -> Figure | None:
    """Return the colour-colour figure."""
    usable = [b for b in objects.bands if objects.column(b, "mag_psf", "mag_auto") is not None]
    if len(usable) < 3:
        return None
    wanted = [b for b in ("g", "r", "i") if b in usable]
    one, two, three = wanted if len(wanted) == 3 else (usable[0], usable[len(usable) // 2], usable[-1])
    mags, errors = [], []
    for band in (one, two, three):
        mag = objects.column(band, "mag_psf", "mag_auto")
        error = objects.column(band, "magerr_psf", "magerr_auto")
        assert mag is not None
        mags.append(mag)
        errors.append(np.full(mag.size, 0.05) if error is None else error)
    good = np.all([np.isfinite(m) & (m > 0) & (m < 60) for m in mags], axis=0)
    good &= np.all([np.isfinite(e) & (e > 0) & (e < 0.2) for e in errors], axis=0)
    if good.sum() < 3:
        return None
    x, y = (mags[0] - mags[1])[good], (mags[1] - mags[2])[good]
    plot = Plot("Colours", f"{one} − {two} [mag]", f"{two} − {three} [mag]", height=300)
    plot.scale_x(np.clip(x, *np.percentile(x, [1, 99])).tolist())
    plot.scale_y(np.clip(y, *np.percentile(y, [1, 99])).tolist())
    spread = objects.column(two, "spread_model")
    star = np.zeros(x.size, bool) if spread is None else np.abs(spread[good]) < 0.003
    keep = np.zeros(x.size, bool)
    keep[_some(x.size)] = True
    plot.points(x[~star & keep], y[~star & keep], "galaxy", _dot(x.size))
    plot.points(x[star & keep], y[star & keep], "star", _dot(x.size) + 1)
    text = f"{int(good.sum())} objects with errors below 0.2 mag"
    if spread is not None:
        text += f"; bold: {int(star.sum())} with |spread_model| < 0.003 in {two}"
    return Figure("Colours", text, plot.render())


def _sky(objects: Objects) -> Figure | None:
    """Return the figure of object positions on the sky."""
    good = np.isfinite(objects.ra) & np.isfinite(objects.dec)
    if not good.any():
        return None
    dec = objects.dec[good]
    # Offsets from the middle, so that neither RA 0 nor the pole's crowded meridians trouble the axis.
    away = (objects.ra[good] - objects.ra[good][0] + 180.0) % 360.0 - 180.0
    centre_dec = float(dec.min() + dec.max()) / 2
    middle = float(away.min() + away.max()) / 2
    x = (away - middle) * np.cos(np.radians(centre_dec)) * 60.0
    y = (dec - centre_dec) * 60.0
    ra = (objects.ra[good][0] + middle) % 360.0
    plot = Plot(
        "Places of the objects", "east of the centre [arcmin]", "north of the centre [arcmin]", height=300
    )
    ratio = (plot.width - plot.left - plot.right) / (plot.height - plot.top - plot.bottom)
    reach = max(float(np.abs(x).max()) / ratio, float(np.abs(y).max()), 1e-3) * 1.08
    plot.scale_x([-reach * ratio, reach * ratio], pad=0.0)
    plot.x = Scale(plot.x.high, plot.x.low, plot.x.begin, plot.x.end)  # east is left
    plot.scale_y([-reach, reach], pad=0.0)
    keep = _some(x.size)
    plot.points(x[keep], y[keep], "b-none", _dot(x.size))
    text = f"around RA {number_text(round(ra, 4))}, Dec {number_text(round(centre_dec, 4))} deg; north is up, east left"
    return Figure("Places on the sky", text, plot.render())


def depth_figure(depths: Sequence[Depth]) -> Figure | None:
    """Depth by band: 10σ in a 2″ aperture with its spread over the tile, and where the PSF magnitude's error is 0.1."""
    measured = [d for d in depths if d.snr10 is not None]
    if not measured:
        return None
    plot = Plot("Depth", "", "magnitude [mag]", height=300, bottom=30)
    numbers = [v for d in measured for v in (d.snr10, d.low, d.high, d.sigma01) if v is not None]
    plot.scale_x([-0.5, len(measured) - 0.5], pad=0.02)
    plot.scale_y(numbers, pad=0.2)
    for i, d in enumerate(measured):
        style = band_style(d.band)
        if d.low is not None and d.high is not None:
            plot.segment(i, d.low, i, d.high, f"range {style}")
        assert d.snr10 is not None
        plot.marker(i, d.snr10, style, f"{d.band}: S/N 10 at {d.snr10:.2f} mag", 5.0)
        plot.note(plot.x(i) + 11, plot.y(d.snr10) + 4, f"{d.snr10:.2f}", "value")
        if d.sigma01 is not None:
            plot.marker(i, d.sigma01, f"open {style}", f"{d.band}: error 0.1 at {d.sigma01:.2f} mag", 5.0)
    ticks = [(float(i), d.band) for i, d in enumerate(measured)]
    text = "full: S/N 10 in a 2″ aperture, bar 10 to 90 % of the area; open: PSF magnitude at error 0.1"
    return Figure("Depth", text, plot.render(xticks=ticks))
