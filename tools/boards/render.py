"""Boards as the JSON that Grafana reads."""

from __future__ import annotations

from collections.abc import Mapping

from tools.boards.panels import Board, Json, Panel, Query, Variable

_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
# Of Grafana 11.0; later ones bring it up to date themselves when they load it.
_SCHEMA_VERSION = 39


def render(board: Board) -> Json:
    """Return what Grafana reads."""
    panels: list[Json] = []
    y = 0
    for row in board.rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(panel)})
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.says,
        "tags": ["scenestream"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "type": "dashboards", "title": "scenestream", "tags": ["scenestream"], "asDropdown": False,
                "includeVars": False, "keepTime": True, "targetBlank": False, "icon": "external link",
            }
        ],
        "annotations": {"list": [_ALERTS]},
        "templating": {"list": [_DATASOURCE, *(_variable(one) for one in board.variables)]},
        "panels": panels,
    }  # fmt: skip


_DATASOURCE: Json = {
    "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "hide": 0, "refresh": 1,
    "regex": "", "multi": False, "includeAll": False, "options": [], "current": {},
}  # fmt: skip
_ALERTS: Json = {
    "name": "Alerts", "datasource": _SOURCE, "enable": True, "hide": False, "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing", alertname=~"Scenestream.*|ConsumerGroup.*|LagExporter.*"}',
    "titleFormat": "{{alertname}}", "textFormat": "{{group}}{{instance}}{{account}}{{topic}} {{reason}}", "step": "30s",
}  # fmt: skip


def _variable(one: Variable) -> Json:
    return {
        "name": one.name, "label": one.label, "type": "query", "datasource": _SOURCE, "hide": 0, "refresh": 2,
        "sort": 1, "query": {"query": one.query, "refId": one.name}, "definition": one.query, "regex": "",
        "options": [], "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


def _panel(panel: Panel) -> Json:
    defaults: dict[str, object] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in panel.steps],
        },
        "mappings": list(panel.mappings),
        "custom": {**_CUSTOM.get(panel.kind, {}), **panel.custom},
    }
    if panel.least is not None:
        defaults["min"] = panel.least
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "targets": [_target(query, number) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": list(panel.overrides)},
        "options": {**_OPTIONS.get(panel.kind, {}), **panel.options},
        "transformations": list(panel.transformations),
    }


def _target(query: Query, number: int) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "format": query.form,
        "instant": query.instant,
        "range": not query.instant,
    }


_CUSTOM: Mapping[str, Json] = {
    "timeseries": {
        "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 8, "showPoints": "never",
        "spanNulls": False, "stacking": {"mode": "none", "group": "A"}, "scaleDistribution": {"type": "linear"},
    },
    "table": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
    "state-timeline": {"fillOpacity": 80, "lineWidth": 0},
}  # fmt: skip
_OPTIONS: Mapping[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
        "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
    "state-timeline": {
        "mergeValues": True, "showValue": "never", "rowHeight": 0.8, "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "heatmap": {
        "calculate": False, "cellGap": 1, "showValue": "never", "legend": {"show": True},
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5, "fill": "dark-blue"},
        "yAxis": {"axisPlacement": "left", "unit": "short"}, "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": True}, "filterValues": {"le": 1e-9},
    },
}  # fmt: skip
