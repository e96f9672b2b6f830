//! EDGE: what is said to a request.
//!
//! In: a request, the main loop's [`Desk`]. Out: a response. The main loop is asked for how things are, and is never waited for
//! longer than [`WITHIN`]; a loop that is stuck still has its pulse looked at. The switch is read over the connection that the
//! loop has, at most once in [`FRESH`] however many ask, and one reading at a time.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::agent::hash::{COOKIE, COOKIE_MASK};
use crate::agent::health::{self, Check, Pulse};
use crate::agent::metrics::{self, Figures, Live, Page, Traffic};
use crate::agent::openflow::connection::Connection;
use crate::agent::openflow::{FlowEntry, FlowFilter, PortStatistics};
use crate::agent::process;

/// The longest that the main loop and the switch together are waited for.
const WITHIN: Duration = Duration::from_secs(1);
/// For so long a page is said again.
const FRESH: Duration = Duration::from_secs(1);
/// Of everything but the metrics.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Something that the main loop is asked.
#[derive(Debug)]
pub enum Question {
    /// How things are, and the connection to the bridge.
    Figures(oneshot::Sender<(Figures, Option<Connection>)>),
    /// Whether the agent is ready.
    Readiness(oneshot::Sender<Vec<Check>>),
}

/// Where the main loop is asked.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Times of the pulse are from here.
    pub begin: Instant,
    /// What the loop leaves at each turn.
    pub pulse: watch::Receiver<Pulse>,
    /// Takes questions.
    pub questions: mpsc::Sender<Question>,
}

impl Desk {
    /// Asks; no answer: the loop has something else to do.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.questions.send(question(sender)).await.ok()?;
        answer.await.ok()
    }
}

/// What the switch says: flows of ours, and ports.
type Reading = Option<(Vec<FlowEntry>, Vec<PortStatistics>)>;

/// What is kept from one reading to the next.
#[derive(Default)]
struct Kept {
    page: Option<(Instant, Bytes)>,
    traffic: Traffic,
    /// A reading that nobody waits for any more. Until the switch has answered it is not asked again.
    late: Option<JoinHandle<Reading>>,
}

/// Gives answers.
pub(super) struct Answers {
    desk: Desk,
    kept: Mutex<Kept>,
}

impl Answers {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk, kept: Mutex::default() }
    }

    /// The answer, of which a `HEAD` gets the head.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
        let known = ["/metrics", "/healthz", "/readyz"].contains(&request.uri().path());
        Ok(match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics().await,
            (&Method::GET | &Method::HEAD, "/healthz") => self.healthz(),
            (&Method::GET | &Method::HEAD, "/readyz") => self.readyz().await,
            _ if known => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
        })
    }

    fn healthz(&self) -> Response<Full<Bytes>> {
        let pulse = *self.desk.pulse.borrow();
        let checks = health::alive(pulse, self.desk.begin.elapsed());
        checked("healthz", &checks, StatusCode::INTERNAL_SERVER_ERROR)
    }

    async fn readyz(&self) -> Response<Full<Bytes>> {
        match timeout(WITHIN, self.desk.ask(Question::Readiness)).await {
            Ok(Some(checks)) => checked("readyz", &checks, StatusCode::SERVICE_UNAVAILABLE),
            _ => busy(),
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let deadline = Instant::now() + WITHIN;
        // Whoever reads at the moment reads for this one, too.
        let Ok(mut kept) = timeout_at(deadline, self.kept.lock()).await else { return busy() };
        let fresh = kept.page.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, page)| page.clone());
        let page = match fresh {
            Some(page) => page,
            None => {
                let Ok(Some((figures, connection))) = timeout_at(deadline, self.desk.ask(Question::Figures)).await
                else {
                    return busy();
                };
                let live = read(&mut kept, &figures, connection, deadline).await;
                let version = env!("CARGO_PKG_VERSION");
                let page = Page { version, figures: &figures, live: live.as_ref(), process: process::used() };
                let page = Bytes::from(metrics::text(&page));
                kept.page = Some((Instant::now(), page.clone()));
                page
            }
        };
        response(StatusCode::OK, metrics::CONTENT_TYPE, page)
    }
}

/// Reads the switch, as far as it answers in time.
async fn read(kept: &mut Kept, figures: &Figures, connection: Option<Connection>, deadline: Instant) -> Option<Live> {
    let connection = connection?;
    let mut reading = match kept.late.take() {
        Some(late) if !late.is_finished() => late,
        _ => tokio::spawn(ask(connection)),
    };
    let Ok(said) = timeout_at(deadline, &mut reading).await else {
        kept.late = Some(reading);
        return None;
    };
    let (flows, ports) = said.ok()??;
    let cookies = figures.chains.values().map(|chain| chain.cookie);
    Some(kept.traffic.read(flows, ports, &figures.wanted, cookies))
}

async fn ask(connection: Connection) -> Reading {
    let ours = FlowFilter { cookie: COOKIE, mask: COOKIE_MASK };
    let (flows, ports) = tokio::join!(connection.flows(ours), connection.port_statistics(None));
    Some((flows.ok()?, ports.ok()?))
}

fn checked(of: &str, checks: &[Check], bad: StatusCode) -> Response<Full<Bytes>> {
    let (well, page) = health::page(of, checks);
    response(if well { StatusCode::OK } else { bad }, PLAIN, Bytes::from(page))
}

fn busy() -> Response<Full<Bytes>> {
    plain(StatusCode::SERVICE_UNAVAILABLE, "[-]loop failed: the main loop does not answer within 1 s\n")
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    response(status, PLAIN, Bytes::from_static(text.as_bytes()))
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A desk, what is asked there, and a pulse that beat last so many seconds ago.
    fn desk(silent: u64) -> (Answers, mpsc::Receiver<Question>, watch::Sender<Pulse>) {
        let (pulse, beats) = watch::channel(Pulse { turned: Duration::from_secs(1), awaits: None });
        let (questions, asked) = mpsc::channel(4);
        let begin = Instant::now().checked_sub(Duration::from_secs(1 + silent)).unwrap();
        (Answers::new(Desk { begin, pulse: beats, questions }), asked, pulse)
    }

    async fn get(answers: &Answers, path: &str) -> (u16, String) {
        use http_body_util::BodyExt as _;
        let response = answers.answer(&Request::get(path).body(()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_main_loop_that_is_stuck_is_told_and_waited_for_by_nobody() {
        let (answers, _asked, pulse) = desk(31);
        let (status, said) = get(&answers, "/healthz").await;
        assert!(status == 500 && said.starts_with("[-]loop failed: the main loop has not turned for 31 s"), "{said}");
        for path in ["/readyz", "/metrics"] {
            let (status, said) = get(&answers, path).await;
            assert!(status == 503 && said.contains("does not answer"), "{path}: {said}");
        }
        pulse.send_modify(|pulse| pulse.turned = Duration::from_secs(31));
        assert_eq!(get(&answers, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_gets_the_same_page() {
        let (answers, mut asked, _pulse) = desk(0);
        let counted = tokio::spawn(async move {
            let mut count = 0;
            while let Some(question) = asked.recv().await {
                count += 1;
                if let Question::Figures(asker) = question {
                    asker.send((Figures::default(), None)).unwrap();
                }
            }
            count
        });
        let pages = tokio::join!(get(&answers, "/metrics"), get(&answers, "/metrics"));
        assert!(pages.0 == pages.1 && pages.0.1.contains("dpu_agent_build_info"), "{pages:?}");
        drop(answers);
        assert_eq!(counted.await.unwrap(), 1);
    }
}
