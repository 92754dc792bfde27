"""The pictures of the report: boxes, bird views, light and masks, as raster images or drawings."""
