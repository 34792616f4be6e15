"""The text of the programs: small applications of other frameworks."""

from __future__ import annotations

import json
from typing import Final

NAMES: Final = ("résumé (1) #2 & 50%.txt", "a#b.txt", "報告（最終）.pdf", "50%2525.txt", "a;b.txt", "end .txt")
"""Names of files that people have; each file holds its own name."""

DASH: Final = """
import sys
from dash import Dash, Input, Output, dcc, html

app = Dash(__name__)
app.layout = html.Div([html.P(id="beat"), dcc.Interval(id="timer", interval=500)])


@app.callback(Output("beat", "children"), Input("timer", "n_intervals"))
def beat(count):
    return f"beat {count}"


app.run(host="127.0.0.1", port=int(sys.argv[1]))
"""

NICEGUI: Final = """
import sys
from nicegui import ui


@ui.page("/")
def page():
    label = ui.label("beat 0")
    counts = iter(range(1, 10**9))
    ui.timer(0.5, lambda: label.set_text(f"beat {next(counts)}"))


ui.run(host="127.0.0.1", port=int(sys.argv[1]), reload=False, show=False)
"""

MARIMO: Final = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    mo.md("beat 3")
    return


if __name__ == "__main__":
    app.run()
"""

GRADIO: Final = f"""
import sys
from pathlib import Path

import gradio as gr

folder = Path("served").absolute()
folder.mkdir(exist_ok=True)
served = [folder / name for name in {NAMES!r}]
for file in served:
    file.write_text(file.name)
gr.set_static_paths([folder])


def received(paths):
    return "received: " + " | ".join(sorted(Path(path).read_text() for path in paths))


with gr.Blocks() as demo:
    beat, count = gr.Markdown("beat 0"), gr.State(0)
    gr.Timer(0.5).tick(lambda number: (number + 1, f"beat {{number + 1}}"), count, [count, beat])
    gr.File([str(file) for file in served], label="served")
    sent, said = gr.File(label="sent", file_count="multiple"), gr.Markdown()
    sent.upload(received, sent, said)
demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), root_path=(sys.argv[2:] or [None])[0])
"""

PANEL: Final = """
import panel as pn

counts = iter(range(1, 10**9))
text = pn.pane.Markdown("beat 0")


def beat():
    text.object = f"beat {next(counts)}"


pn.state.add_periodic_callback(beat, period=500)
text.servable()
"""

SHINY: Final = """
from shiny import App, reactive, render, ui

app_ui = ui.page_fluid(ui.output_text("beat"))


def server(input, output, session):
    counts = iter(range(1, 10**9))

    @render.text
    def beat():
        reactive.invalidate_later(0.5)
        return f"beat {next(counts)}"


app = App(app_ui, server)
"""

_CELL: Final = """import time

for number in range(10**6):
    print("beat", number)
    time.sleep(0.5)
"""
NOTEBOOK: Final = json.dumps(
    {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": "beat",
                "metadata": {},
                "outputs": [],
                "source": _CELL,
            }
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)
