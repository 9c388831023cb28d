"""The public pages: the notice for a site that DNS led here, appeals and their status, the public record."""
