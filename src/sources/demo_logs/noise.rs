//! What else a Livebook server logs: requests, LiveView's debug records, apps, crashes.
//!
//! A scene is what one process writes in a row; records of others may come in between. None of it may speak of an
//! evaluation in the words that a reader of the log searches for.

use super::template::Template;

/// One process's records, in their order.
pub struct Scene {
    /// How often it happens, relative to the others.
    weight: u64,
    /// Whether a request id ties the records together.
    pub is_request: bool,
    /// The records.
    pub lines: &'static [Line],
}

/// One record of a scene.
pub struct Line {
    /// As Logger names it.
    pub severity: &'static str,
    /// Whether Livebook knows who it is about.
    pub has_user: bool,
    /// How long after the record before it, in milliseconds: shortest and longest. Most are near the shortest.
    pub pause_ms: (u64, u64),
    message: &'static str,
}

const fn line(severity: &'static str, has_user: bool, pause_ms: (u64, u64), message: &'static str) -> Line {
    Line { severity, has_user, pause_ms, message }
}

const fn request(weight: u64, lines: &'static [Line]) -> Scene {
    Scene { weight, is_request: true, lines }
}

const fn scene(weight: u64, lines: &'static [Line]) -> Scene {
    Scene { weight, is_request: false, lines }
}

const SENT: Line = line("info", true, (1, 300), "Sent ‹status› in ‹elapsed›");
const SENT_TO_ANYONE: Line = line("info", false, (0, 4), "Sent 200 in ‹elapsed›");
const REPLIED: Line = line("debug", true, (0, 20), "Replied in ‹elapsed›");
const NOW: (u64, u64) = (0, 0);
const SOON: (u64, u64) = (0, 2);

const SCENES: [Scene; 27] = [
    request(14, &[line("info", false, NOW, "GET /sessions/‹id›"), SENT]),
    request(9, &[line("info", false, NOW, "GET /public/health"), SENT_TO_ANYONE]),
    request(6, &[line("info", false, NOW, "GET /"), SENT]),
    request(6, &[line("info", false, NOW, "GET /sessions/‹id›/assets/‹asset›/main.js"), SENT]),
    request(4, &[line("info", false, NOW, "GET /learn/notebooks/‹page›"), SENT]),
    request(3, &[line("info", false, NOW, "GET /sessions/‹id›/download/export/livemd"), SENT]),
    request(3, &[line("info", false, NOW, "GET /apps/‹app›/‹id›"), SENT]),
    request(2, &[line("info", false, NOW, "GET /favicon.ico"), SENT_TO_ANYONE]),
    request(2, &[line("info", false, NOW, "POST /authenticate"), SENT_TO_ANYONE]),
    request(
        6,
        &[
            line("info", false, NOW, "GET /sessions/‹id›/settings/runtime"),
            line(
                "debug",
                true,
                SOON,
                "Processing with LivebookWeb.SessionController.show/2\n  Parameters: %{\"id\" => \"‹id›\", \"token\" \
                 => \"[FILTERED]\"}\n  Pipelines: [:browser, :auth]",
            ),
            SENT,
        ],
    ),
    scene(
        4,
        &[line(
            "info",
            false,
            NOW,
            "CONNECTED TO Phoenix.LiveView.Socket in ‹elapsed›\n  Transport: :websocket\n  Serializer: \
             Phoenix.Socket.V2.JSONSerializer\n  Parameters: %{\"_csrf_token\" => \"[FILTERED]\", \"_mounts\" => \
             \"‹d1›\", \"_live_referer\" => \"undefined\", \"vsn\" => \"2.0.0\"}",
        )],
    ),
    scene(
        6,
        &[
            line(
                "debug",
                true,
                NOW,
                "MOUNT LivebookWeb.SessionLive\n  Parameters: %{\"id\" => \"‹id›\"}\n  Session: %{\"_csrf_token\" => \
                 \"‹hex›\", \"user_data\" => %{\"hex_color\" => \"#‹colour›\", \"name\" => \"‹name›\"}}",
            ),
            REPLIED,
        ],
    ),
    scene(
        9,
        &[
            line(
                "debug",
                true,
                NOW,
                "HANDLE EVENT \"queue_cell_evaluation\" in LivebookWeb.SessionLive\n  Parameters: %{\"cell_id\" => \
                 \"‹id›\", \"disable_dependencies_cache\" => false}",
            ),
            REPLIED,
        ],
    ),
    scene(
        12,
        &[
            line(
                "debug",
                true,
                NOW,
                "HANDLE EVENT \"apply_cell_delta\" in LivebookWeb.SessionLive\n  Parameters: %{\"cell_id\" => \
                 \"‹id›\", \"delta\" => %{\"ops\" => [%{\"retain\" => ‹d2›}, %{\"insert\" => \"‹var›\\n  |> \
                 Enum.count()\"}]}, \"revision\" => ‹d3›, \"selection\" => nil, \"tag\" => \"primary\"}",
            ),
            REPLIED,
        ],
    ),
    scene(
        3,
        &[
            line(
                "debug",
                true,
                NOW,
                "HANDLE EVENT \"restart\" in LivebookWeb.SessionLive\n  Component: \
                 LivebookWeb.SessionLive.RuntimeComponent\n  Parameters: %{\"value\" => \"\"}",
            ),
            REPLIED,
        ],
    ),
    scene(
        4,
        &[
            line(
                "debug",
                true,
                NOW,
                "HANDLE PARAMS in LivebookWeb.HomeLive\n  Parameters: %{\"order_by\" => \"date\"}",
            ),
            REPLIED,
        ],
    ),
    scene(
        2,
        &[
            line("info", false, NOW, "[app=‹app›] Deploying app"),
            line(
                "info",
                false,
                SOON,
                "[app=‹app›] Scheduling app deployment on node livebook@notebooks-‹d1›.internal",
            ),
            line("info", false, (400, 9000), "[app=‹app›] Deployment successful, app running"),
        ],
    ),
    scene(1, &[line("info", false, NOW, "[app=‹app›] Closing duplicate app in the cluster")]),
    scene(
        1,
        &[line(
            "warning",
            false,
            NOW,
            "[app=‹app›] App warmup failed, failed to run setup\n\n** (RuntimeError) could not reach https://‹host›, got \
             ‹d3›\n    notebooks/‹app›.livemd#cell:‹asset›:‹d2›: (file)",
        )],
    ),
    scene(
        1,
        &[line(
            "warning",
            false,
            NOW,
            "Teams WebSocket connection - ping error: %Mint.TransportError{reason: :closed}, retrying in ‹d4› ms",
        )],
    ),
    scene(1, &[line("warning", false, NOW, "version check failed, reason: {:error, :timeout}")]),
    scene(1, &[line("notice", false, NOW, "storage of ‹d2› notebooks written in ‹elapsed›")]),
    scene(
        1,
        &[line(
            "warning",
            false,
            NOW,
            "[k8s runtime] Pod event: \"Back-off pulling image of runtime-‹asset›\"",
        )],
    ),
    scene(
        1,
        &[line(
            "error",
            false,
            NOW,
            "GenServer ‹module›.Worker terminating\n** (MatchError) no match of right hand side value: {:error, \
             %{reason: \"no such ‹group›: \\\"‹city›\\\"\", status: ‹d3›}}\n    (‹app› 0.‹d2›.0) lib/worker.ex:‹d2:a›: \
             ‹module›.Worker.refresh/2\n    (‹app› 0.‹d2›.0) lib/worker.ex:‹d2:b›: ‹module›.Worker.handle_info/2\n    \
             (stdlib 7.1) gen_server.erl:2434: :gen_server.try_handle_info/3\n    (stdlib 7.1) gen_server.erl:2420: \
             :gen_server.handle_msg/3\n    (stdlib 7.1) proc_lib.erl:333: :proc_lib.init_p_do_apply/3\nLast message: \
             :refresh\nState: %{table: :‹table›, ‹field›: ‹d4›, since: ~U[‹year›-06-‹d2:c› 07:30:00Z], waiting: [], \
             retries: ‹d1›}",
        )],
    ),
    scene(
        1,
        &[line(
            "error",
            true,
            NOW,
            "Process #PID<0.‹d4›.0> terminating\n** (KeyError) key :‹field› not found in: %{‹group›: \"‹city›\", id: \
             ‹d6›}\n    (livebook ‹year›.1.0) lib/livebook_web/live/session_live.ex:‹d3›: \
             LivebookWeb.SessionLive.handle_event/3\n    (phoenix_live_view 1.1.‹d2›) lib/phoenix_live_view/channel.ex:‹d3:b›: \
             anonymous fn/3 in Phoenix.LiveView.Channel.view_handle_event/3\n    (telemetry 1.3.0) \
             src/telemetry.erl:324: :telemetry.span/3\nInitial Call: Phoenix.LiveView.Channel.init/1\nAncestors: \
             [#PID<0.‹d3›.0>, LivebookWeb.Endpoint]\nMessage Queue Length: 0\nMessages: []\nLinks: [#PID<0.‹d3›.0>]\n\
             Dictionary: [\"$initial_call\": {Phoenix.LiveView.Channel, :init, 1}]\nTrapping Exits: false\nStatus: \
             :running\nHeap Size: ‹d6›\nStack Size: ‹d2›\nReductions: ‹d6:b›",
        )],
    ),
    scene(
        1,
        &[line(
            "error",
            false,
            NOW,
            "Task #PID<0.‹d4›.0> started from #PID<0.‹d3›.0> terminating\n** (RuntimeError) ‹host› answered ‹d3:b› to \
             the ‹table› of ‹person›\n    notebook#cell:‹asset›:‹d2›: anonymous fn/1\n    (elixir 1.20.1) \
             lib/task/supervised.ex:105: Task.Supervised.invoke_mfa/2\nFunction: #Function<‹d2:b›.‹d6›/0>\n    Args: []",
        )],
    ),
    scene(
        1,
        &[line(
            "info",
            false,
            NOW,
            "running cleanup of ‹d1› closed sessions\n\n  kept: ‹d2›\n  freed: ‹d3› MB\n",
        )],
    ),
];

/// Which scene and which of its records.
#[derive(Clone, Copy, Debug)]
pub struct Cue {
    scene: usize,
    line: usize,
}

impl Cue {
    /// The record after this one.
    pub fn next(self) -> Self {
        Cue { line: self.line + 1, ..self }
    }
}

/// All scenes, ready to be written.
#[derive(Debug)]
pub struct Noise {
    messages: Vec<Vec<Template>>,
    weights: u64,
}

impl Noise {
    /// Reads the templates.
    pub fn new() -> Self {
        let messages = SCENES
            .iter()
            .map(|scene| scene.lines.iter().map(|line| Template::new(line.message)).collect())
            .collect();
        Noise { messages, weights: SCENES.iter().map(|scene| scene.weight).sum() }
    }

    /// How many records a scene has, on average.
    pub fn records_mean(&self) -> f64 {
        let records: u64 = SCENES.iter().map(|scene| scene.weight * scene.lines.len() as u64).sum();
        records as f64 / self.weights as f64
    }

    /// The first record of a scene; `at` is a number under [`Noise::weights`].
    pub fn opening(&self, mut at: u64) -> Cue {
        for (number, scene) in SCENES.iter().enumerate() {
            match at.checked_sub(scene.weight) {
                None => return Cue { scene: number, line: 0 },
                Some(rest) => at = rest,
            }
        }
        Cue { scene: 0, line: 0 }
    }

    /// The sum of all weights.
    pub fn weights(&self) -> u64 {
        self.weights
    }

    /// The record that a cue stands for; none after the last of a scene.
    pub fn line(&self, cue: Cue) -> Option<(&'static Scene, &'static Line, &Template)> {
        let scene = SCENES.get(cue.scene)?;
        Some((scene, scene.lines.get(cue.line)?, self.messages.get(cue.scene)?.get(cue.line)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::holes::Facts;
    use super::super::template::Form;
    use super::*;

    #[test]
    fn every_message_is_filled_and_speaks_of_no_evaluation() {
        for message in Noise::new().messages.iter().flatten() {
            let mut out = Vec::new();
            message.write(Form::Raw, &Facts::of_seed(1), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains(['‹', '›']), "an unknown hole: {text}");
            assert!(!text.contains("Evaluating code") && !text.contains("code.evaluate"));
        }
    }

    #[test]
    fn every_scene_can_open() {
        let noise = Noise::new();
        let opened: std::collections::BTreeSet<usize> =
            (0..noise.weights()).map(|at| noise.opening(at).scene).collect();
        assert_eq!(opened.len(), SCENES.len());
    }
}
