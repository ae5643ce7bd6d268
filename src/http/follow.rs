//! Files that anyone may read are read wherever they now are. What is asked with a key is not: the
//! key stays where it was configured to go, and a redirected POST loses its body.

use std::sync::{Arc, PoisonError};

use reqwest::Method;
use reqwest::header::{ACCEPT, LOCATION};
use url::Url;

use super::{ANYTHING, Client, Endpoint, HttpError, HttpErrorKind, Response, request_line};

/// Redirections that are followed, as MISP does for a feed's files (its `Feed.php`,
/// `getFollowRedirect`), be they signed anew for each file.
const MOST: usize = 5;

impl Client {
    /// Opens a file as [`Client::open`] does, by up to five redirections, never from https to http.
    /// A client that shows a key or a certificate of ours follows none.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn open_following_redirects(&self, path: &str) -> Result<Response, HttpError> {
        if self.has_secret {
            return self.open(path);
        }
        let (mut at, mut other) = (self.resolve_url(path), None::<Arc<Self>>);
        let line = request_line(&Method::GET, &at);
        let mut asked = line.clone();

        // The file's own address, and then the redirections.
        for _ in 0..=MOST {
            let client = other.as_deref().unwrap_or(self);
            let answer =
                client.send_request(Method::GET, at.clone(), asked.clone(), |request| {
                    request.header(ACCEPT, ANYTHING)
                })?;
            let Some(next) = redirect_target(&answer, &at) else {
                return client.check_answer(answer);
            };

            if at.scheme() == "https" && next.scheme() == "http" {
                return client.check_answer(answer).map_err(|failure| {
                    failure.with_help(
                        "from https to http, which is not followed: have that mended where the \
                         feed comes from",
                    )
                });
            }

            // Messages begin with the configured address, which is the one that can be corrected.
            asked = format!("{line}, redirected to {}", without_query(&next));

            other = if next.origin() == self.base.origin() {
                None
            } else {
                Some(self.client_for_origin(&next, &asked)?)
            };

            at = next;
        }

        // The last answer is gone by now; 302 stands for whichever redirection it was.
        let cause = HttpErrorKind::Redirected {
            status: 302,
            to: self.network.clean_words(&without_query(&at)),
        };
        let help = format!("after {MOST} others: nobody follows more");

        Err(HttpError::new(line, cause).with_help(help))
    }

    /// The client of another server, made once for files that follow each other.
    fn client_for_origin(&self, url: &Url, asked: &str) -> Result<Arc<Self>, HttpError> {
        let mut elsewhere = self
            .elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = elsewhere
            .as_ref()
            .filter(|known| known.base.origin() == url.origin())
        {
            return Ok(Arc::clone(known));
        }

        let origin = Endpoint {
            url,
            headers: Vec::new(),
            user_agent: self.user_agent.clone(),
            access: &self.access,
        };

        let made = Self::new(&origin, &self.network, Arc::clone(&self.observer));
        let made = made.map_err(|error| {
            HttpError::new(
                asked.to_owned(),
                HttpErrorKind::Unreachable(format!("{error:#}")),
            )
        })?;

        Ok(Arc::clone(elsewhere.insert(Arc::new(made))))
    }
}

/// Where an answer points, if that can be followed.
fn redirect_target(answer: &Response, at: &Url) -> Option<Url> {
    let to = answer.header(LOCATION.as_str());
    let is_redirection = matches!(answer.response.status().as_u16(), 301..=303 | 307 | 308);
    let next = at
        .join(&to)
        .ok()
        .filter(|_| is_redirection && !to.is_empty())?;
    // A user or password in an address would stand in messages.
    let is_plain = next.username().is_empty() && next.password().is_none();

    (["http", "https"].contains(&next.scheme()) && is_plain).then_some(next)
}

/// An address as messages have it: what stands behind `?` may be a signature that lets anyone in.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
