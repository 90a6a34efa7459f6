//! Composes requests: an alarm and its picture as ntfy takes them, or as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use minijinja::Environment;
use serde_json::Value;
use url::Url;

use crate::config::notify::engine;
use crate::config::{self, NotifyFormat, NotifyMethod, NotifyPicture, Secret};

/// Longest text of a notification in bytes; ntfy makes a file of a longer one.
const MESSAGE_BYTES: usize = 4_000;
/// Longest text in another header, in bytes.
const HEADER_BYTES: usize = 1_000;

/// Composes requests of alarms.
#[derive(Debug, Clone)]
pub(super) struct Composer {
    engine: Environment<'static>,
    path: String,
    format: NotifyFormat,
    method: NotifyMethod,
    picture: NotifyPicture,
    /// The body is a template.
    has_body: bool,
    headers: HeaderMap,
}

impl Composer {
    /// Reads address, headers and templates.
    pub(super) fn new(config: &config::Notify) -> Result<Self, String> {
        let (engine, wrong) = engine(config);
        if let Some((key, why)) = wrong.first() {
            return Err(format!("notify.{key}: {why}"));
        }
        let text = config.url.as_ref().map(Secret::expose).unwrap_or_default();
        let url = Url::parse(text).map_err(|error| format!("notify.url is no address: {error}"))?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            engine,
            path,
            format: config.format,
            method: config.method,
            picture: config.picture,
            has_body: config.body.is_some(),
            headers: headers(config)?,
        })
    }

    /// The request of an alarm; `None` if its text comes out empty, so that there is nothing to notify.
    ///
    /// # Errors
    /// Returns which template failed, and why.
    pub(super) fn make(
        &self,
        alarm: &Value,
        picture: Option<Bytes>,
    ) -> Result<Option<Request<Full<Bytes>>>, String> {
        let picture = picture.filter(|_| self.picture != NotifyPicture::None);
        let made = match self.format {
            NotifyFormat::Ntfy => self.ntfy(alarm, picture)?,
            NotifyFormat::Json => self.json(alarm, picture)?,
        };
        let Some((headers, body)) = made else { return Ok(None) };
        let method = match self.method {
            NotifyMethod::Post => "POST",
            NotifyMethod::Put => "PUT",
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.parse().map_err(|_| "the method cannot be used")?;
        *request.uri_mut() = self.path.parse().map_err(|_| "the path of notify.url cannot be used")?;
        *request.headers_mut() = headers;
        // The headers of the configuration go before those made here.
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(Some(request))
    }

    /// Headers of ntfy; the body is the picture, or the text where there is none.
    fn ntfy(&self, alarm: &Value, picture: Option<Bytes>) -> Result<Option<(HeaderMap, Bytes)>, String> {
        let mut headers = HeaderMap::new();
        for key in ["title", "priority", "tags", "click"] {
            let text = self.render(key, alarm)?;
            if !text.trim().is_empty() {
                headers.insert(HeaderName::from_static(key), encoded(cut(text.trim(), HEADER_BYTES)));
            }
        }
        let message = self.render("message", alarm)?;
        let message = cut(message.trim(), MESSAGE_BYTES);
        if message.is_empty() && !headers.contains_key("title") {
            return Ok(None);
        }
        let Some(picture) = picture else {
            return Ok(Some((headers, Bytes::copy_from_slice(message.as_bytes()))));
        };
        // ntfy reads \n in the header as a line end.
        headers.insert(HeaderName::from_static("message"), encoded(&message.replace('\n', "\\n")));
        headers.insert(HeaderName::from_static("filename"), HeaderValue::from_static("alarm.jpg"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        Ok(Some((headers, picture)))
    }

    /// JSON of the alarm or of the template, with the picture in it or beside it.
    fn json(&self, alarm: &Value, picture: Option<Bytes>) -> Result<Option<(HeaderMap, Bytes)>, String> {
        let mut alarm = alarm.clone();
        if let Some(topic) = alarm.pointer_mut("/snapshot/topic") {
            // The picture goes along, and at no topic.
            *topic = Value::Null;
        }
        let encoded = picture.as_ref().filter(|_| self.picture == NotifyPicture::Base64);
        if let Some(bytes) = encoded
            && let Some(alarm) = alarm.as_object_mut()
        {
            alarm.insert("picture".into(), STANDARD.encode(bytes).into());
        }
        let document = if self.has_body { self.render("body", &alarm)? } else { alarm.to_string() };
        if document.trim().is_empty() {
            return Ok(None);
        }
        let mut headers = HeaderMap::new();
        let Some(picture) = picture.filter(|_| self.picture == NotifyPicture::Attach) else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return Ok(Some((headers, document.into())));
        };
        let boundary = format!("alarmbus-{}", uuid::Uuid::now_v7().simple());
        let kind = format!("multipart/form-data; boundary={boundary}");
        headers
            .insert(CONTENT_TYPE, HeaderValue::from_str(&kind).map_err(|_| "the boundary cannot be used")?);
        Ok(Some((headers, multipart(&boundary, &document, &picture))))
    }

    /// Text of a template.
    fn render(&self, key: &str, alarm: &Value) -> Result<String, String> {
        let template = self.engine.get_template(key).map_err(|error| error.to_string())?;
        template.render(minijinja::value::Serde(alarm)).map_err(|error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            format!(
                "notify.{key} cannot be filled for this alarm: {detail}; correct the template, then retry it"
            )
        })
    }
}

/// Headers that every request has.
fn headers(config: &config::Notify) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let agent = concat!("alarmbus/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    let secret = |text: &str, key: &str| {
        let mut value =
            HeaderValue::from_str(text).map_err(|_| format!("{key} holds a control character"))?;
        value.set_sensitive(true);
        Ok::<HeaderValue, String>(value)
    };
    if let Some(token) = &config.token {
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", token.expose()), "notify.token")?);
    }
    for (name, value) in &config.headers {
        let key = format!("notify.headers.{name}");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{key} is no header"))?;
        headers.insert(name, secret(value.expose(), &key)?);
    }
    Ok(headers)
}

/// The document and the picture as two parts.
fn multipart(boundary: &str, document: &str, picture: &Bytes) -> Bytes {
    let mut body = BytesMut::with_capacity(document.len() + picture.len() + 512);
    let part = |body: &mut BytesMut, head: &str, bytes: &[u8]| {
        body.put(format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.put(bytes);
        body.put(&b"\r\n"[..]);
    };
    part(&mut body, "name=\"alarm\"\r\nContent-Type: application/json", document.as_bytes());
    part(&mut body, "name=\"picture\"; filename=\"alarm.jpg\"\r\nContent-Type: image/jpeg", picture);
    body.put(format!("--{boundary}--\r\n").as_bytes());
    body.freeze()
}

/// A text as the value of a header: as it is in ASCII, else as an encoded word (RFC 2047), which ntfy reads.
fn encoded(text: &str) -> HeaderValue {
    let one_line: String = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    let value =
        if one_line.is_ascii() { one_line } else { format!("=?UTF-8?B?{}?=", STANDARD.encode(&one_line)) };
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The beginning of a text, cut at a character.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Composer, cut, encoded};
    use crate::config::notify::VARIABLES;
    use crate::config::{Notify, Secret};

    #[test]
    fn templates_know_the_fields_of_an_alarm() {
        let schema = crate::render::schema();
        let fields = schema["$defs"]["alarm"]["properties"].as_object().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), VARIABLES);
    }

    #[test]
    fn a_field_that_is_missing_is_empty_and_a_template_without_end_is_stopped() {
        let composer = |message: &str| {
            let url = Some(Secret::new("http://localhost/a"));
            Composer::new(&Notify { url, message: message.into(), ..Notify::default() }).unwrap()
        };
        let text = |message: &str, alarm: serde_json::Value| composer(message).render("message", &alarm);
        assert_eq!(text("{{ snapshot.url }}{{ details.plate }}.", json!({"snapshot": null})), Ok(".".into()));
        let endless =
            text("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", json!({}));
        assert!(endless.unwrap_err().starts_with("notify.message cannot be filled"), "it ends");
    }

    #[test]
    fn a_header_is_one_line_and_a_text_is_cut_at_a_character() {
        assert_eq!(encoded("a\r\nX-Other: b"), "a  X-Other: b");
        assert_eq!(encoded("\u{e4}"), "=?UTF-8?B?w6Q=?=");
        assert_eq!(cut("a\u{e4}", 2), "a");
    }
}
