"""What a click opens: the HTML of one point of the map, one miss, one probe."""
