"""The Grafana boards, written as what they ask and say: `python -m tools.boards` makes their JSON; a test compares."""
