"""What the gateway shows of itself: metrics, traces, pages. Only the service knows this folder."""
